"""Countries for seeded data: cities with their postal codes and telephone areas, streets, names.

In a telephone or postal pattern `#` is a digit, `N` one of 2 to 9, `A` a letter.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class City:
    """A city with patterns that fit it."""

    name: str
    zip: str
    phone: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Country:
    """What belongs to a country."""

    code: str
    name: str
    #: Share of all companies.
    weight: int
    forms: tuple[str, ...]
    cities: tuple[City, ...]
    #: `%` stands for the house number.
    streets: tuple[str, ...]
    mobile: str
    first: tuple[str, ...]
    last: tuple[str, ...]
    trades: tuple[str, ...]


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


COUNTRIES: tuple[Country, ...] = (
    Country(
        "DE",
        "Germany",
        26,
        _split("GmbH, GmbH & Co. KG, AG, KG, e.K., UG (haftungsbeschränkt), OHG"),
        (
            City("Berlin", "10#15", "+4930N#######"),
            City("München", "80#37", "+4989N######"),
            City("Hamburg", "20#57", "+4940N######"),
            City("Köln", "506##", "+49221N######"),
            City("Stuttgart", "701##", "+49711N######"),
        ),
        _split("Hauptstraße %, Bahnhofstraße %, Industriestraße %, Lindenallee %, Am Markt %"),
        "+49151N#######",
        _split("Anna, Jonas, Lena, Lukas, Sabine, Jürgen, Miriam, Stefan, Käthe, Björn"),
        _split("Müller, Schmidt, Bergmann, Weiß, Krüger, Hoffmann, Vogel, Schäfer, Böhm, Lang"),
        _split("Metallbau, Logistik, Werkzeuge, Möbel, Feinkost, Elektrotechnik, Druckerei"),
    ),
    Country(
        "FR",
        "France",
        12,
        _split("SARL, SAS, SA, EURL, SASU"),
        (
            City("Paris", "7501#", "+331N#######"),
            City("Lyon", "6900#", "+33472######"),
            City("Lille", "59800", "+33320######"),
        ),
        _split("% rue de la République, % avenue Victor Hugo, % rue des Écoles, % quai de Saône"),
        "+3361#######",
        _split("Émile, Chloé, Jérôme, Camille, Hélène, Luc, Noémie, Thierry, Amélie, Gaël"),
        _split("Dubois, Lefèvre, Moreau, Girard, Bonnet, Chevalier, Gauthier, Perrin, Faure, Noël"),
        _split("Mécanique, Transports, Boulangerie, Textile, Énergie, Optique, Matériaux"),
    ),
    Country(
        "IT",
        "Italy",
        8,
        _split("S.r.l., S.p.A., S.n.c., S.a.s."),
        (
            City("Milano", "201##", "+3902N#######", "MI"),
            City("Roma", "001##", "+3906N#######", "RM"),
            City("Torino", "101##", "+39011N######", "TO"),
        ),
        _split("Via Roma %, Via Garibaldi %, Corso Italia %, Via dell'Industria %"),
        "+39347#######",
        _split("Giulia, Marco, Chiara, Luca, Niccolò, Francesca, Paolo, Elena, Matteo, Sara"),
        _split("Rossi, Bianchi, Ferrari, Esposito, Romano, Ricci, Marino, Greco, Conti, D'Angelo"),
        _split("Meccanica, Ceramiche, Tessuti, Alimentari, Arredamenti, Impianti, Trasporti"),
    ),
    Country(
        "ES",
        "Spain",
        7,
        _split("S.L., S.A., S.L.U., S. Coop."),
        (
            City("Madrid", "280##", "+3491N######"),
            City("Barcelona", "080##", "+3493N######"),
            City("Sevilla", "410##", "+34954######"),
        ),
        _split("Calle Mayor %, Avenida de la Constitución %, Calle del Sol %, Paseo del Prado %"),
        "+346########",
        _split("Sofía, Diego, Lucía, Álvaro, Carmen, Íñigo, Marta, Javier, Núria, Raúl"),
        _split("García, Fernández, Moreno, Muñoz, Álvarez, Romero, Navarro, Torres, Ibáñez, Gil"),
        _split("Conservas, Maquinaria, Cerámica, Logística, Textil, Energía, Bodegas"),
    ),
    Country(
        "NL",
        "Netherlands",
        7,
        _split("B.V., N.V., V.O.F."),
        (
            City("Amsterdam", "10N# AA", "+3120N######"),
            City("Rotterdam", "30N# AA", "+3110N######"),
            City("Utrecht", "35N# AA", "+3130N######"),
        ),
        _split("Dorpsstraat %, Kerkstraat %, Industrieweg %, Stationsplein %"),
        "+3161#######",
        _split("Bram, Sanne, Daan, Femke, Lotte, Joost, Maud, Thijs, Anouk, Ruben"),
        _split("de Vries, van Dijk, Bakker, Visser, Smit, Mulder, de Boer, van der Berg, Vos, Kok"),
        _split("Techniek, Transport, Tuinbouw, Verpakkingen, Scheepsbouw, Zuivel, Meubelen"),
    ),
    Country(
        "AT",
        "Austria",
        6,
        _split("GmbH, GesmbH, AG, KG, OG"),
        (
            City("Wien", "10N0", "+431N######"),
            City("Graz", "80N0", "+43316N#####"),
            City("Linz", "40N0", "+43732N#####"),
        ),
        _split("Hauptplatz %, Mariahilfer Straße %, Wiener Straße %, Mühlgasse %"),
        "+43664N######",
        _split("Franz, Magdalena, Lukas, Theresa, Andreas, Johanna, Florian, Eva, Georg, Ines"),
        _split("Gruber, Huber, Wagner, Pichler, Steiner, Moser, Mayer, Hofer, Leitner, Eder"),
        _split("Holzbau, Maschinenbau, Weinhandel, Anlagentechnik, Feinkost, Stahlbau"),
    ),
    Country(
        "PL",
        "Poland",
        7,
        _split("Sp. z o.o., S.A., Sp. j., Sp. k."),
        (
            City("Warszawa", "00-N##", "+4822N######"),
            City("Kraków", "30-N##", "+4812N######"),
            City("Poznań", "60-N##", "+4861N######"),
        ),
        _split("ul. Nowy Świat %, ul. Długa %, ul. Przemysłowa %, al. Jerozolimskie %"),
        "+48601######",
        _split("Ola, Łukasz, Małgorzata, Piotr, Zofia, Paweł, Agnieszka, Michał, Ewa, Krzysztof"),
        _split("Kowalski, Nowak, Wójcik, Zieliński, Wiśniewski, Dąbrowski, Kamiński, Mazur, Król"),
        _split("Meble, Stal, Budownictwo, Transport, Chemia, Narzędzia, Opakowania"),
    ),
    Country(
        "GB",
        "United Kingdom",
        10,
        _split("Ltd, Limited, PLC, LLP"),
        (
            City("London", "SE1 #AA", "+44207N######"),
            City("Leeds", "LS1 #AA", "+441132######"),
            City("Manchester", "M1 #AA", "+44161N######"),
        ),
        _split("% High Street, % Station Road, % Church Lane, % Mill Road"),
        "+447400######",
        _split("Oliver, Amelia, Harry, Isla, George, Ava, Noah, Emily, Siobhán, Rhys"),
        _split("Smith, O'Neill, Taylor, Hughes, Walker, Wright, Evans, Fletcher, Barnes, Ward"),
        _split("Engineering, Foods, Textiles, Logistics, Marine, Tools, Packaging"),
    ),
    Country(
        "US",
        "United States",
        9,
        _split("Inc., LLC, Corp., Co."),
        (
            City("Austin", "787##", "+1512N3#####", "TX"),
            City("Chicago", "606##", "+1312N3#####", "IL"),
            City("Denver", "802##", "+1303N3#####", "CO"),
        ),
        _split("% Main Street, % Oak Avenue, % Industrial Parkway, % 5th Street"),
        "+1512N4#####",
        _split("Ethan, Olivia, Mason, Ava, Liam, Priya, Jackson, Mei, Carlos, Aisha"),
        _split("Johnson, Williams, Davis, Miller, Wilson, Anderson, Patel, Nguyen, Clark, Lopez"),
        _split("Manufacturing, Supply, Plastics, Systems, Foods, Fabrication, Optics"),
    ),
    Country(
        "CZ",
        "Czechia",
        4,
        _split("s.r.o., a.s., v.o.s."),
        (City("Praha", "110 0#", "+420224######"), City("Brno", "602 0#", "+420541######")),
        _split("Dlouhá %, Nádražní %, Průmyslová %, Masarykova %"),
        "+420601######",
        _split("Petra, Jiří, Tereza, Tomáš, Kateřina, Ondřej, Zuzana, Lukáš"),
        _split("Novák, Svoboda, Dvořák, Černý, Procházka, Kučera, Veselý, Horák"),
        _split("Strojírna, Sklo, Stavby, Doprava, Nábytek, Pivovar"),
    ),
    Country(
        "SE",
        "Sweden",
        4,
        _split("AB, HB, KB"),
        (
            City("Stockholm", "11N ##", "+468N######"),
            City("Göteborg", "41N ##", "+4631N#####"),
        ),
        _split("Storgatan %, Kungsgatan %, Industrivägen %, Skolgatan %"),
        "+46701######",
        _split("Maja, Oskar, Åsa, Elin, Björn, Frida, Nils, Linnéa"),
        _split("Åberg, Lindström, Nilsson, Sjöberg, Öberg, Karlsson, Holm, Ek"),
        _split("Verkstad, Trävaror, Teknik, Livsmedel, Transport, Papper"),
    ),
)

TITLES = _split(
    "Managing Director, Head of Purchasing, Buyer, CFO, Warehouse Manager, Production Manager,"
    "Sales Manager, Assistant, IT Manager"
)

#: SKU, name, price, cost, description.
PRODUCTS: tuple[tuple[str, str, str, str, str], ...] = (
    ("WID-100", "Widget, steel", "24.90", "11.20", "Stainless, 100 mm"),
    ("WID-150", "Widget, steel, large", "34.90", "15.80", "Stainless, 150 mm"),
    ("BRK-020", "Bracket, galvanised", "3.45", "1.10", "For wall mounting"),
    ("GBX-310", "Gearbox 3:1", "412.00", "238.50", "Helical, oil filled"),
    ("MOT-075", "Motor 0.75 kW", "289.00", "171.00", "Three-phase, IE3"),
    ("MOT-220", "Motor 2.2 kW", "468.00", "279.00", "Three-phase, IE3"),
    ("PMP-040", "Pump, 40 l/min", "640.00", "385.00", "Self-priming"),
    ("SEN-011", "Proximity sensor", "58.50", "21.30", "M12, inductive"),
    ("CBL-005", "Cable, 5 m", "12.80", "4.60", "Shielded"),
    ("CTL-900", "Controller", "1190.00", "702.00", "With touch panel"),
    ("FRM-200", "Machine frame", "1850.00", "1120.00", "Welded, powder-coated"),
    ("BLT-M08", "Bolt set M8", "9.90", "2.95", "100 pieces"),
    ("OIL-010", "Gear oil, 10 l", "74.00", "39.00", "ISO VG 220"),
    ("SVC-001", "Commissioning, per day", "980.00", "540.00", "On site, without travel"),
    ("SPR-055", "Spare part kit", "215.00", "96.00", "For one year of operation"),
)
