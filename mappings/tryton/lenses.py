"""Lenses for Tryton that do not belong in YAML: the tax number among a party's identifiers."""

from __future__ import annotations

from typing import Any

from stdnum import get_cc_module

from mappings.canonical.values import Kind, Scalar
from mappings.kit import regional
from mappings.kit.lens import Factory, Lens

#: Types of identifiers that are tax numbers of organisations in Tryton 8.2 (party.identifier).
#: Registers and personal numbers are not: a social security number must never be sent as one.
# fmt: off
_TAX_TYPES = frozenset(
    (
        "ad_nrt", "al_nipt", "ar_cuit", "at_uid", "au_abn", "au_acn", "az_voen", "be_vat", "bg_vat",
        "br_cnpj", "by_unp", "ca_bn", "ch_vat", "cl_rut", "cn_uscc", "co_nit", "cr_cpj", "cy_vat",
        "cz_dic", "de_vat", "dk_cvr", "do_rnc", "dz_nif", "ec_ruc", "ee_kmkr", "eg_tn", "es_nif",
        "fi_alv", "fo_vn", "fr_tva", "gb_vat", "gh_tin", "gn_nifp", "gr_vat", "gt_nit", "hr_oib",
        "hu_anum", "id_npwp", "ie_vat", "il_hp", "in_gstin", "is_vsk", "it_iva", "jp_cn", "ke_pin",
        "kr_brn", "lt_pvm", "lu_tva", "lv_pvn", "ma_ice", "mc_tva", "md_idno", "me_pib", "mk_edb",
        "mt_vat", "mx_rfc", "mz_nuit", "nl_btw", "no_mva", "nz_ird", "pe_ruc", "pl_nip", "pt_nif",
        "py_ruc", "ro_cf", "rs_pib", "ru_inn", "se_vat", "sg_uen", "si_ddv", "sk_dph", "sm_coe",
        "sn_nimea", "sv_nit", "th_moa", "tn_mf", "tr_vkn", "tw_ubn", "ua_edrpou", "us_ein",
        "us_tin", "uy_rut", "ve_rif", "vn_mst", "za_tin",
    )
)
# fmt: on


def _tax_item(items: Any) -> Any:
    """Returns the identifier that is the tax number, None if there is none.

    A European VAT number comes first, then other tax types, then one without a type that is not
    the hub's external key (`tulay:...`).
    """
    ranked = [(rank, item) for item in items or () if (rank := _rank(item)) is not None]
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


def _rank(item: Any) -> int | None:
    code, kind = item.get("code"), item.get("type")
    if not code or str(code).startswith("tulay:"):
        return None
    if not kind:
        return 2
    if kind == "eu_vat":
        return 0
    return 1 if kind in _TAX_TYPES else None


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

    quirk(tryton): a typed identifier is checked with python-stdnum and refused if it is invalid
    (party.identifier), and only typed ones count as tax identifiers on invoices. So the current
    type stays if the number is valid under it, valid European VAT numbers get eu_vat, and
    everything else gets no type, which is never refused.
    """
    if now and "_" in now:
        module = get_cc_module(*now.split("_", 1))
        if module is not None and module.is_valid(code):
            return now
    return "eu_vat" if regional.is_vat(code) else None


#: Name in a mapping file -> kind and factory of the lens.
LENSES: dict[str, tuple[Kind, Factory]] = {
    "tax_identifier": ("tax_id", lambda _options: Lens(_get, _put, regional=True)),
}
