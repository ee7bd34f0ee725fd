"""Texts made to keep finders busy: the time they take grows with their length, not with its square."""

import resource
import subprocess
import sys
from pathlib import Path

# Each is repeated up to 100,000 characters: what begins a find and does not end one, and finds without end.
REPEATED = (
    "1", "12 ", "1-", "1/2/", "(1) ", "00 1 ", "1.", "1.2.3.4 ", ":", "2001:", "2a:", "20::", "a@", "a@a.", "@", "@a",
    "a.", "a@b.com", "<a@b.com> ", "In <1@a.b> ", "article <", "+1 ", "+1234567 ", "+44 20 7946 ", "Tel: ",
    "Tel: 1234567 ", "电话", "电话1", "１", "１２３４５６７８９０１ ", "é1", "12345678901 ", "1234-5678-",
    "4111 1111 ", "11010519491231002X ", "529.982.247-25 ", "ISBN 1234567890 ", "AB12 ", "GB29 ", "GB29NWBK6016",
    "GB82 WEST 1234 5698 7654 32 ", "AAAAAA11", "-----BEGIN PRIVATE KEY-----\n", "-----BEGIN ", "://", "://a:",
    "://a:b@", "eyJ", "eyJaaaaaaaaaaaaaaaaaaaa.", "AKIA", "_", "-", "sk-a1", "a", " ", "\n", "(", "+(",
)  # fmt: skip

RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from personal import settings
from test_personal_hostile import REPEATED
from pipelines.cleaning.personal.masking import mask_batch
for piece in REPEATED:
    sys.stdout.write(f"{piece!r}\\n")
    sys.stdout.flush()
    masked = mask_batch([piece * (100_000 // len(piece))], ["en"], settings())
    assert mask_batch(masked.texts, ["en"], settings()).texts == masked.texts
sys.stdout.write("done\\n")
"""
# All of them take some 8 s; one quadratic pass over one of them takes more than this alone.
MAX_CPU_SECONDS = 80


def test_absurd_repetition_ends_in_time_and_is_stable():
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS)),
    )
    last = done.stdout.strip().rpartition("\n")[2]
    assert (done.returncode, last) == (0, "done"), done.stderr
