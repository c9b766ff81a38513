"""The papers of an exported data set: the card for Hugging Face, and the Croissant metadata.

Croissant describes a data set for machines: https://docs.mlcommons.org/croissant. Its fields of
responsible AI are the minimal ones that the NeurIPS track for data sets requires.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from not_so_clevr.dataset.config import NotSoClevrConfig

VERSION = "1.0.0"
HOMEPAGE = "https://arxiv.org/abs/1807.03247"

_PUBLISHED = "2018-07-09"  # The paper that defines the data set
_LICENSE = "https://www.apache.org/licenses/LICENSE-2.0"
_SIZES = {10**3: "n<1K", 10**4: "1K<n<10K", 10**5: "10K<n<100K", 10**6: "100K<n<1M"}

_FEATURES = {
    "image": ("sc:ImageObject", "The canvas: white shape (255) on black (0)."),
    "one_hot": ("sc:ImageObject", "1 at the pixel of the centre, else 0; it looks black."),
    "label": ("cr:Int64", "The index of that pixel, row-major."),
    "coordinates": ("cr:Int64", "The centre (row i, column j), in pixels."),
}

_RESPONSIBLE_AI = {
    "rai:dataLimitations": "Synthetic canvases with one white shape each. They test whether a "
    "model maps coordinates to pixels and back, and nothing about natural images.",
    "rai:dataBiases": "None known: there is one example for each place where the shape fits on "
    "the canvas. Which of them are held out for testing is the question that a config asks.",
    "rai:personalSensitiveInformation": "None.",
    "rai:dataUseCases": "Measuring how models generalize to positions not seen in training, in "
    "six tasks: classification, regression, rendering, localisation, painting and detection.",
    "rai:dataSocialImpact": "None is expected, as the data describe no people.",
    "rai:hasSyntheticData": True,
    "prov:wasDerivedFrom": "No other data set.",
    "prov:wasGeneratedBy": "Drawn by the program not_so_clevr; nothing was collected or annotated.",
}

_TERMS = """
    arrayShape citeAs column containedIn equivalentProperty extract field fileObject fileProperty
    fileSet format includes isArray isLiveDataset jsonPath key md5 parentField path recordSet
    references regex repeated replace samplingRate separator source subField transform
"""
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _TERMS.split()},
}


def readme(config: NotSoClevrConfig, counts: Mapping[str, int]) -> str:
    """Returns README.md of an export: the card, which names the Parquet file of each split."""
    total = sum(counts.values())
    size = next((text for most, text in _SIZES.items() if total < most), "1M<n<10M")
    files = "\n".join(f"  - split: {each}\n    path: {each}.parquet" for each in counts)
    splits = "\n".join(f"| `{each}` | {count} |" for each, count in counts.items())
    features = "\n".join(f"| `{name}` | {text} |" for name, (_, text) in _FEATURES.items())
    return f"""\
---
license: apache-2.0
pretty_name: Not-so-Clevr ({config.name})
size_categories:
- {size}
tags:
- coordconv
- spatial-reasoning
- synthetic
configs:
- config_name: {config.name}
  data_files:
{files}
---
# Not-so-Clevr: {config.name}

{config.description}

{_text("README.md")}
| Split | Examples |
|---|---|
{splits}

| Feature | Content |
|---|---|
{features}

The examples are in row-major order of their centres. Written by `not-so-clevr export {config.name}`
of the Python package `not_so_clevr`.

## Citation

```bibtex
{_text("CITATIONS.bib")}```
"""


def croissant(
    config: NotSoClevrConfig, counts: Mapping[str, int], parquet: Mapping[str, tuple[int, str]]
) -> str:
    """Returns croissant.json of an export: Croissant 1.1, with the minimal fields for RAI 1.0.

    Args:
        config: the data set.
        counts: the number of examples of each split.
        parquet: bytes and SHA-256 of the Parquet file of each split.
    """
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.1",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": f"not_so_clevr_{config.name}",
        "description": f"{config.description}\n\n{_text('README.md')}",
        "version": VERSION,
        "datePublished": _PUBLISHED,
        "license": _LICENSE,
        "url": HOMEPAGE,
        "citeAs": _text("CITATIONS.bib"),
        "creator": {"@type": "sc:Organization", "name": "The not_so_clevr authors"},
        "keywords": ["CoordConv", "spatial reasoning", "synthetic"],
        **_RESPONSIBLE_AI,
        "distribution": [_file(each, *parquet[each]) for each in counts],
        "recordSet": [_records(each, count) for each, count in counts.items()],
    }
    return json.dumps(document, indent=2) + "\n"


def _file(split: str, size: int, sha256: str) -> dict[str, Any]:
    name = f"{split}.parquet"
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": sha256,
    }


def _records(split: str, count: int) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"The {count} {split} examples.",
        "key": {"@id": f"{split}/label"},
        "field": [_field(split, name) for name in _FEATURES],
    }


def _field(split: str, name: str) -> dict[str, Any]:
    kind, text = _FEATURES[name]
    source: dict[str, Any] = {
        "fileObject": {"@id": f"{split}.parquet"},
        "extract": {"column": name},
    }
    if kind == "sc:ImageObject":
        source["transform"] = {"jsonPath": "bytes"}
    field = {
        "@type": "cr:Field",
        "@id": f"{split}/{name}",
        "name": name,
        "description": text,
        "dataType": kind,
        "source": source,
    }
    return field | ({"isArray": True, "arrayShape": "2"} if name == "coordinates" else {})


def _text(name: str) -> str:
    """Returns a file about the data set, which TFDS reads as well."""
    return pathlib.Path(__file__).with_name(name).read_text(encoding="utf-8")
