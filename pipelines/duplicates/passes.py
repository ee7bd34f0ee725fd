"""The passes of a search: what is shuffled in each, whether another is worth it, and what the search did.

Too many documents under one key do not give all their pairs (see ``proposals``). Once a pass has dropped some of them,
those that are left under such keys are searched again: fewer, so that more of their pairs are looked at.
"""

import json
from collections.abc import Sequence

import numpy as np

from pipelines.duplicates.plan import DOCUMENTS, Plan, Round, plan_rounds
from pipelines.duplicates.references import PAIR, VERIFIED
from pipelines.duplicates.search_steps import add_counts
from pipelines.duplicates.verify_steps import candidates_step, count_measures, verified_step
from pipelines.spine.errors import CorpusmillError
from pipelines.spine.units import REQUESTS_AT_ONCE


def first_rounds(plan: Plan) -> list[Round]:
    """The rounds of the first pass, once every unit is signed; none where there are no documents.

    Leaves for the workers how many documents each unit has.
    """
    ledgers = [receipt.ledger for receipt in plan.signed.receipts(plan.units) if receipt is not None]
    if len(ledgers) < len(plan.units):
        raise CorpusmillError("a signed unit went while the search was on", where=plan.signed.root, hint="run again")
    taken = [ledger.taken for ledger in ledgers]
    plan.files.write(DOCUMENTS, 0, np.array(taken, np.int64))
    num_documents = sum(taken)
    num_fingerprints = sum(ledger.beside["fingerprints"] for ledger in ledgers)
    return plan_rounds(plan.params, num_documents, num_fingerprints) if num_documents else []


def next_pass(plan: Plan, rounds: Sequence[Round]) -> list[list[Round]]:
    """The rounds of one more pass, or nothing: it needs full buckets, and pairs that this pass has found."""
    number = rounds[0].number_of_pass + 1
    full = _buckets(plan, rounds)["full_buckets"]
    found = sum(_verified(plan, number - 1).values())
    if not full or not found or number >= plan.params.max_passes:
        return []
    part = 0 if plan.params.containment_threshold else -1
    return [[Round(0, plan.params.num_bands, part, 1, number)]]


def describe_search(plan: Plan, passes: Sequence[Sequence[Round]]) -> dict[str, object]:
    """What ``search.json`` says; read before the files of the search go.

    Buckets are those of the first pass; ``pairs_capped`` is what the last pass still left out.
    """
    measured = [_verified(plan, number) for number in range(len(passes))]
    buckets = [_buckets(plan, rounds) for rounds in passes] or [add_counts([])]
    steps = [candidates_step(number) for number in range(len(passes))]
    candidates = plan.files.num_records([(step, index) for step in steps for index in range(len(plan.units))], PAIR)
    params = plan.params
    return {
        "candidate_pairs": candidates,
        "verified_pairs": sum(found["jaccard"] for found in measured),
        "contained_pairs": sum(found["contained"] for found in measured),
        **buckets[0],
        "pairs_capped": buckets[-1]["pairs_capped"],
        "passes": len(passes),
        **{name: getattr(params, name) for name in ("num_bands", "rows_per_band", "shingle_size", "max_bucket")},
        **{name: getattr(params, name) for name in ("threshold", "containment_threshold")},
    }


def _verified(plan: Plan, number_of_pass: int) -> dict[str, int]:
    step = verified_step(number_of_pass)
    parts = [(step, index) for index in range(len(plan.units))]
    groups = (parts[first : first + REQUESTS_AT_ONCE] for first in range(0, len(parts), REQUESTS_AT_ONCE))
    return count_measures(plan.files.read_all(group, VERIFIED) for group in groups)


def _buckets(plan: Plan, rounds: Sequence[Round]) -> dict[str, int]:
    texts = [plan.files.finished(f"counts-{of.name}") for of in rounds]
    return add_counts(json.loads(text) for text in texts if text)
