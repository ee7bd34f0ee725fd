"""Small MediaWiki exports, as tests write and read them."""

import io

from reading import reading

from pipelines.readers.mediawiki.reader import read_mediawiki
from pipelines.readers.records import Item, Quarantined, Record

SITEINFO = """  <siteinfo>
    <base>https://uk.wikipedia.org/wiki/%D0%93%D0%BE%D0%BB%D0%BE%D0%B2%D0%BD%D0%B0</base>
    <namespaces>
      <namespace key="-2" case="first-letter">Медіа</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="6" case="first-letter">Світлина</namespace>
      <namespace key="10" case="first-letter">Шаблон</namespace>
    </namespaces>
  </siteinfo>
"""


def page(key: int, title: str, text: str, namespace: int = 0, extra: str = "") -> str:
    return f"""  <page>
    <title>{title}</title>
    <ns>{namespace}</ns>
    <id>{key}</id>{extra}
    <revision>
      <id>{key + 1000}</id>
      <timestamp>2023-05-01T12:00:00Z</timestamp>
      <contributor><username>A</username><id>7</id></contributor>
      <model>wikitext</model>
      <text bytes="3" xml:space="preserve">{text}</text>
    </revision>
  </page>
"""


def export(*pages: str, siteinfo: str = SITEINFO, version: str = "0.11") -> str:
    body = siteinfo + "".join(pages)
    return (
        f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-{version}/" version="{version}">\n{body}</mediawiki>\n'
    )


def read(dump: str | bytes, language: str = "uk") -> list[Item]:
    return list(
        read_mediawiki(io.BytesIO(dump.encode() if isinstance(dump, str) else dump), reading(language=language))
    )


def keys(items: list[Item]) -> list[str]:
    return [item.key for item in items if isinstance(item, Record)]


def quarantined(items: list[Item]) -> list[Quarantined]:
    return [item for item in items if isinstance(item, Quarantined)]
