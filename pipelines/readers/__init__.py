"""Readers: a stream of bytes -> records, each counted. One function a kind; ``records`` says what they take and give."""
