"""What the sandbox's company makes, buys and sells. Data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Article:
    """A product of the sandbox."""

    code: str
    name: str
    price: str
    cost: str
    #: Pieces on stock at the start.
    stock: int = 0
    #: Code of a part -> pieces of it in one of this; not empty: it is made to order.
    parts: tuple[tuple[str, int], ...] = ()


#: Parts first. The articles from WID-100 on are those that the HubSpot twin sells, too; the prices
#: of the controller and the commissioning have been raised here.
ARTICLES = (
    Article("CMP-1", "Component", "5", "1", stock=10_000),
    Article("CMP-2", "Housing", "9", "4", stock=10_000),
    Article("STL-001", "Steel bar, 1 m", "8.50", "3.20", stock=50_000),
    Article("BRG-062", "Ball bearing 6202", "6.40", "2.10", stock=20_000),
    Article("PCB-104", "Control board", "310.00", "188.00", stock=5_000),
    Article("PNT-003", "Powder coat, kg", "14.00", "6.50", stock=20_000),
    Article("CBL-005", "Cable, 5 m", "12.80", "4.60", stock=5_000),
    Article("WID-1", "Widget", "30", "20", parts=(("CMP-1", 5),)),
    Article("WID-2", "Widget de luxe", "79.90", "41.50", parts=(("CMP-1", 8), ("CMP-2", 1))),
    Article("GAD-1", "Stocked gadget", "12.50", "7", stock=1_000),
    Article("GAD-2", "Stocked gadget, large", "19.95", "11", stock=1_000),
    Article("WID-100", "Widget, steel", "24.90", "11.20", parts=(("STL-001", 1), ("PNT-003", 1))),
    Article(
        "WID-150", "Widget, steel, large", "34.90", "15.80", parts=(("STL-001", 2), ("PNT-003", 1))
    ),
    Article("BRK-020", "Bracket, galvanised", "3.45", "1.10", stock=5_000),
    Article("GBX-310", "Gearbox 3:1", "412.00", "238.50", parts=(("STL-001", 6), ("BRG-062", 4))),
    Article("MOT-075", "Motor 0.75 kW", "289.00", "171.00", stock=5_000),
    Article("MOT-220", "Motor 2.2 kW", "468.00", "279.00", stock=5_000),
    Article(
        "PMP-040",
        "Pump, 40 l/min",
        "640.00",
        "385.00",
        parts=(("STL-001", 4), ("BRG-062", 2), ("PNT-003", 1)),
    ),
    Article("SEN-011", "Proximity sensor", "58.50", "21.30", stock=5_000),
    Article("CTL-900", "Controller", "1240.00", "702.00", parts=(("PCB-104", 1), ("CBL-005", 2))),
    Article(
        "FRM-200", "Machine frame", "1850.00", "1120.00", parts=(("STL-001", 40), ("PNT-003", 3))
    ),
    Article("BLT-M08", "Bolt set M8", "9.90", "2.95", stock=5_000),
    Article("OIL-010", "Gear oil, 10 l", "74.00", "39.00", stock=5_000),
    Article("SVC-001", "Commissioning, per day", "1020.00", "540.00", stock=5_000),
    Article("SPR-055", "Spare part kit", "215.00", "96.00", stock=5_000),
)
