"""``params.yaml: dedup``, and which values are refused."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipelines.duplicates.losses import DEFAULT
from pipelines.duplicates.minhash import choose_bands, proposal_probability
from pipelines.duplicates.preference import ORDERS
from pipelines.duplicates.shingles import NORMALIZATIONS
from pipelines.duplicates.signing import SignParams
from pipelines.spine.errors import CorpusmillError

#: Bands that propose a pair at the threshold less surely than this are refused.
MIN_PROBABILITY = 0.95


@dataclass(frozen=True)
class DedupParams:
    """``params.yaml: dedup``."""

    normalization: str
    threshold: float
    containment_threshold: float
    shingle_size: int
    num_bands: int
    rows_per_band: int
    bands_per_round: int
    seed: int
    survivor: str
    source_priority: tuple[str, ...]
    max_bucket: int
    max_passes: int
    num_partitions: int
    max_dropped_percent: dict[str, int]
    write_index: bool

    @property
    def signing(self) -> SignParams:
        with_fingerprints = self.containment_threshold > 0
        return SignParams(
            self.normalization, self.shingle_size, self.num_bands, self.rows_per_band, self.seed, with_fingerprints
        )


def check_params(params: DedupParams) -> None:
    """Raises CorpusmillError for values that no worker could use, or that would miss pairs, before one begins."""
    counts = ("shingle_size", "num_bands", "rows_per_band", "bands_per_round", "num_partitions", "max_bucket")
    for name in (*counts, "max_passes"):
        _expect(getattr(params, name) >= 1, name, "1 or more", getattr(params, name))
    _expect(0 <= params.seed < 1 << 64, "seed", "0 to 2**64 - 1", params.seed)
    _expect(0 < params.threshold <= 1, "threshold", "a similarity above 0, at most 1", params.threshold)
    _refuse_blind_bands(params)
    contained = params.containment_threshold
    _expect(0 <= contained <= 1, "containment_threshold", "a share from 0 (off) to 1", contained)
    _expect(params.normalization in NORMALIZATIONS, "normalization", ", ".join(NORMALIZATIONS), params.normalization)
    _expect(params.survivor in ORDERS, "survivor", ", ".join(ORDERS), params.survivor)
    preferred = bool(params.source_priority)
    _expect(preferred or params.survivor != "source_priority", "source_priority", "the names of sources", "none")
    _expect(DEFAULT in params.max_dropped_percent, "max_dropped_percent", f"{DEFAULT}: 30", "no default")


def _refuse_blind_bands(params: DedupParams) -> None:
    found = proposal_probability(params.threshold, params.num_bands, params.rows_per_band)
    if found < MIN_PROBABILITY:
        num_hashes = max(100, params.num_bands * params.rows_per_band)
        bands, rows = choose_bands(params.threshold, num_hashes, 0.999)
        raise CorpusmillError(
            f"{params.num_bands} bands of {params.rows_per_band} rows would miss pairs at the threshold {params.threshold}",
            where="params.yaml: dedup.num_bands",
            expected=f"a pair at the threshold is proposed with p of at least {MIN_PROBABILITY}",
            got=f"{found:.3f}",
            hint=f"num_bands: {bands} and rows_per_band: {rows} propose it with "
            f"p = {proposal_probability(params.threshold, bands, rows):.4f}",
        )


def expect_sources(preferred: Sequence[str], sources: Collection[str]) -> None:
    """Raises CorpusmillError for a preferred source that is not among the corpus's."""
    for name in preferred:
        _expect(name in sources, "source_priority", f"sources that are here: {', '.join(sorted(sources))}", name)


def _expect(right: bool, name: str, expected: str, got: object) -> None:
    if not right:
        raise CorpusmillError("wrong value", where=f"params.yaml: dedup.{name}", expected=expected, got=got)
