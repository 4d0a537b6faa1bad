"""What YAML should not say about Tryton: which identifier of a party is its tax number."""

from __future__ import annotations

from typing import Any

from stdnum import get_cc_module

from mappings.canonical.values import Kind, Scalar
from mappings.kit import regional
from mappings.kit.lens import Factory, Lens


def _tax_item(items: Any) -> Any:
    """Returns the identifier that is the tax number: a European VAT number first, else any of ours.

    An identifier whose code begins with `tulay:` is the hub's external key, never a tax number.
    """
    own = [i for i in items or () if i.get("code") and not str(i["code"]).startswith("tulay:")]
    return next((i for i in own if i.get("type") == "eu_vat"), own[0] if own else None)


def _get(items: Any, region: str | None) -> Scalar:
    item = _tax_item(items)
    return None if item is None else regional.tax_id(item["code"], region)


def _put(value: Scalar, items: Any) -> Any:
    """Writes the number into the item that holds one, or into a new one; None removes it."""
    item = _tax_item(items)
    if value is None:
        return [] if item is None else [{"id": item["id"], "remove": True}]
    code = str(value)
    kind = _kind(code, item.get("type") if item else None)
    return [{**({"id": item["id"]} if item else {}), "type": kind, "code": code}]


def _kind(code: str, now: str | None) -> str | None:
    """Returns the type under which Tryton accepts this number.

    quirk(tryton): a typed identifier is checked with python-stdnum and refused when wrong
    (party.identifier), and only typed ones count as tax identifier on invoices. So the present
    type stays when the number is valid under it, eu_vat is given to valid European VAT numbers,
    and everything else goes without a type, which is never refused.
    """
    if now and "_" in now:
        module = get_cc_module(*now.split("_", 1))
        if module is not None and module.is_valid(code):
            return now
    return "eu_vat" if regional.is_vat(code) else None


#: Name in a mapping file -> kind and how the lens is made.
LENSES: dict[str, tuple[Kind, Factory]] = {
    "tax_identifier": ("tax_id", lambda _options: Lens(_get, _put, regional=True)),
}
