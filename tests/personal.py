"""Personal data as the tests look for it: the settings of ``params.yaml`` and one text at a time."""

from pipelines.cleaning.personal.masking import KINDS, KindParams, PersonalDataParams, mask_batch

REGIONS = {
    "default": (), "de": ("DE", "AT", "CH"), "en": ("US", "GB"), "es": ("ES", "MX"), "fr": ("FR",), "ja": ("JP",),
    "ko": ("KR",), "ru": ("RU",), "uk": ("UA",), "vi": ("VN",), "zh": ("CN", "TW", "HK"),
}  # fmt: skip


def settings(action: str = "mask", **others: str) -> PersonalDataParams:
    """One action for all kinds but those that are named with another; placeholders are the kinds' names in capitals."""
    kinds = {kind: KindParams(others.get(kind, action), f"<{kind.upper()}>") for kind in KINDS}
    return PersonalDataParams(**kinds, phone_regions=REGIONS)


def mask(text: str, language: str = "en", params: PersonalDataParams | None = None) -> str:
    """The text as `mask_batch` leaves it."""
    return mask_batch([text], [language], params or settings()).texts[0]
