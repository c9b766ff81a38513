"""The verdict on each thesis: rules, tables, and the page.

A rule judges all the runs that were promised, those with the first seeds. Before they are there it
judges nothing, and more runs change nothing. A thesis has a finding for each part that has a rule,
and one for each comparison; the verdict follows from them.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import pathlib
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence

from not_so_clevr import results
from not_so_clevr.dataset.metrics import METRICS
from not_so_clevr.reproduce import planning
from not_so_clevr.reproduce.planning import Row
from not_so_clevr.results import Result, comparison, naming, tables
from not_so_clevr.results.experiment import Experiment
from not_so_clevr.results.theses import Comparison, Part, Thesis

FAILED = 0.1  # A run fails if no more of test is right.
SIGNIFICANT = 0.05

COLUMNS = ("claim", "runs", "task", "config", "seeds", "perfect", "test", "a run takes", "finding")
_AGAINST = 3  # So many pairs of a data set must all say the opposite of the others to be named

# Whether a finding is as claimed -> the verdict if all findings are like it, and else its heading
_OUTCOMES = {
    True: ("Confirmed", "As claimed"),
    False: ("Refuted", "Not as claimed"),
    None: ("Undecided", "Undecided"),
}

Pair = tuple[Result, Result]


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a rule finds.

    Attributes:
        text: in a few words.
        holds: whether it is as claimed; None if the runs cannot tell.
        detail: what is not needed in a verdict, in a few words.
    """

    text: str
    holds: bool | None = None
    detail: str = ""


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of the table of a thesis: an experiment or a grid, and what was found."""

    claim: str  # The name of the thesis
    runs: str  # The name of the part
    task: str
    config: str
    model: str  # With its recipe, in one word; of a grid its best point, "" if that is not known
    varied: str  # Its settings that differ within the part
    points: int  # 1 for an experiment
    seeds: int  # How many of the promised runs are there
    promised: int
    judged: int  # How many of them are judged: for a grid those of its best point
    perfect: int  # How many of the judged are perfect
    metric: str
    test: float | None  # Mean over the judged runs; None if there are none
    test_interval: float | None  # Half of the 95 % interval
    seconds: float | None  # Duration of a run, estimated if there is none
    finding: str


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The verdict on a thesis.

    Attributes:
        thesis: the thesis.
        lines: of its table.
        findings: what each is about, and the finding; only those that the verdict rests on.
        is_complete: whether all promised runs are there.
        verdict: a sentence.
        seconds: of all promised runs one after the other; None if a duration is unknown.
    """

    thesis: Thesis
    lines: Sequence[Line]
    findings: Sequence[tuple[str, Finding]]
    is_complete: bool
    verdict: str
    seconds: float | None


@dataclasses.dataclass(frozen=True)
class _Evidence:
    """The runs of an experiment, or of a grid."""

    runs: Sequence[Result]  # To be judged: for a grid those of its best point
    done: int
    promised: int

    @property
    def is_complete(self) -> bool:
        return self.done == self.promised


# The rules


def perfect(runs: Sequence[Result]) -> Finding:
    """Whether every run gets every example of train and test right."""
    count = sum(run.perfect for run in runs)
    return Finding(f"{count} of {len(runs)} perfect", count == len(runs))


def fails(runs: Sequence[Result]) -> Finding:
    """Whether every run gets at most `FAILED` of test right; the detail is its share of train."""
    count = sum(run.accuracy("test") <= FAILED for run in runs)
    train = tables.percent(statistics.fmean(run.accuracy("train") for run in runs))
    text = f"{count} of {len(runs)} fail"
    return Finding(text, count == len(runs), f"with {train} of train right")


def better(pairs: Sequence[Pair], metric: str = "") -> Finding:
    """Whether the first of each pair is better on test, by the exact two-sided sign test.

    Args:
        pairs: runs with the same task, config and seed.
        metric: the metric of test; "" for the accuracy metric.
    """
    more, less = _counts(pairs, metric)
    p = results.sign_test(more, less)
    text = f"{more} to {less} of {len(pairs)} pairs"
    for config, same in results.grouped(pairs, lambda pair: pair[0].config).items():
        here = _counts(same, metric)
        against = here[1] if more > less else here[0]
        if _AGAINST <= against == sum(here) and more != less:
            text += f", but {here[0]} to {here[1]} on `{config}`"
    equals = "" if p < 0.001 else "= "
    holds = None if p > SIGNIFICANT else more > less
    return Finding(f"{text}, p {equals}{comparison.p_value(p)}", holds)


def _counts(pairs: Sequence[Pair], metric: str) -> tuple[int, int]:
    """Returns in how many pairs the first is better on test, and in how many it is worse."""

    def value(run: Result) -> float:
        name = metric or run.accuracy_metric
        sign = 1 if name not in METRICS or METRICS[name].higher_is_better else -1
        return sign * run.metrics["test"][name]

    more = sum(value(one) > value(two) for one, two in pairs)
    less = sum(value(one) < value(two) for one, two in pairs)
    return more, less


def faster(pairs: Sequence[Pair], times: float) -> Finding:
    """Whether the first is so many times faster to the best test accuracy that the second reaches.

    The time is that of training. It holds if it does for every run of the first, and does not if it
    does for none.
    """
    firsts, seconds = ([*runs] for runs in zip(*pairs, strict=True))
    if len(machines := _machines(pairs)) > 1:
        return Finding(f"on different machines: {'; '.join(machines)}")
    if not all(run.history for run in (*firsts, *seconds)):
        return Finding("no history of the training")

    best = max(epoch["test"][run.accuracy_metric] for run in seconds for epoch in run.history)
    slow = min(_seconds_until(run, best) for run in seconds)
    quick = [_seconds_until(run, best) for run in firsts]
    ratios = [slow / each for each in quick]
    reached = sum(ratio >= times for ratio in ratios)

    text = f"{statistics.median(ratios):.3g} times faster to {tables.percent(best)}: "
    text += f"{_time(statistics.median(quick))} against {_time(slow)}; "
    text += f"to 100 %: {_until_right(firsts)} against {_until_right(seconds)}"
    return Finding(text, {len(ratios): True, 0: False}.get(reached))


def _machines(pairs: Iterable[Pair]) -> list[str]:
    """Returns the hardware of the runs; times of several kinds cannot be compared."""
    return sorted({run.hardware for pair in pairs for run in pair})


def smaller(pairs: Sequence[Pair], times: float) -> Finding:
    """Whether the first has so many times fewer parameters."""
    counts = [run.parameters or 0 for run in pairs[0]]
    ratio = counts[1] / max(counts[0], 1)
    return Finding(f"{ratio:.3g} times fewer: {counts[0]:,} against {counts[1]:,}", ratio >= times)


_OF_RUNS = {"perfect": perfect, "fails": fails}


def _seconds_until(run: Result, accuracy: float) -> float:
    """Returns the seconds of training until an accuracy on test; infinity if it is not reached."""
    reached = run.reached(accuracy)
    return reached["seconds"] if reached else math.inf


def _until_right(runs: Sequence[Result]) -> str:
    times = [each for run in runs if (each := _seconds_until(run, 1.0)) < math.inf]
    share = f"{len(times)} of {len(runs)}"
    return f"{_time(statistics.median(times))} ({share})" if times else f"never ({share})"


def _time(seconds: float) -> str:
    return tables.duration(seconds) if seconds < math.inf else "never"


# The verdict


def judge(
    theses: Iterable[Thesis], rows: Sequence[Row], found: Iterable[Result]
) -> list[Judgement]:
    """Returns the judgement on each thesis.

    Args:
        theses: to judge.
        rows: plans of all their experiments, at least.
        found: runs, of these experiments and others.
    """
    known = [*found]
    own = planning.runs(rows, known)
    runs = {row.experiment.id: of_row for row, of_row in zip(rows, own, strict=True)}
    seconds = planning.estimates(rows, [*known, *results.reference()])
    costs = {row.experiment.id: seconds[row.id] for row in rows}
    metrics = {row.experiment.id: row.run.task.accuracy_metric for row in rows}
    return [_judge(thesis, runs, costs, metrics) for thesis in theses]


def _judge(
    thesis: Thesis,
    runs: Mapping[str, Sequence[Result]],
    costs: Mapping[str, float | None],
    metrics: Mapping[str, str],
) -> Judgement:
    lines: list[Line] = []
    findings: list[tuple[str, Finding]] = []
    deciding = _metric(thesis)
    missing = spoilt = False
    for part in thesis.parts:
        of_lines = [(points, _evidence(points, runs)) for points in _by_line(part)]
        for points, evidence in of_lines:
            finding = _finding(part.rule, evidence)
            text = ", ".join(filter(None, [finding.text, finding.detail]))
            cost = results.median(costs[each.id] for each in points)
            metric = deciding or metrics[points[0].id]
            lines.append(_line(thesis, part, points, evidence, metric, cost, text))

        whole = _joined(evidence for _, evidence in of_lines)
        missing |= not whole.is_complete
        if part.rule:
            findings.append((part.name, _finding(part.rule, whole)))
            spoilt |= bool(whole.runs) and not _OF_RUNS[part.rule](whole.runs).holds

    for compared in thesis.comparisons:
        findings.append((compared.name, _compare(thesis, compared, runs)))

    sentence = _progress(thesis, runs, spoilt) if missing else verdict(findings)
    return Judgement(thesis, lines, findings, not missing, sentence, _total(thesis, costs))


def _progress(thesis: Thesis, runs: Mapping[str, Sequence[Result]], spoilt: bool) -> str:
    """Returns how many of the promised runs are there, and whether one is not as claimed."""
    experiments = thesis.experiments
    counts = planning.promised(experiments, [runs[each.id] for each in experiments])
    done = sum(
        len(_first(runs[each.id], count)) for each, count in zip(experiments, counts, strict=True)
    )
    others = ", some of them not as claimed" if spoilt else ""
    text = f"No verdict yet: {done} of {sum(_all_promised(thesis))} runs{others}."
    return text if done else "Not run."


def _total(thesis: Thesis, costs: Mapping[str, float | None]) -> float | None:
    """Returns the seconds of all promised runs; None if one is unknown."""
    known = [cost for each in thesis.experiments if (cost := costs[each.id]) is not None]
    promised = _all_promised(thesis)
    if len(known) < len(promised):
        return None
    return sum(cost * n for cost, n in zip(known, promised, strict=True))


def verdict(findings: Sequence[tuple[str, Finding]]) -> str:
    """Returns the verdict that complete findings give, with all of them.

    Confirmed if all are as claimed, refuted if none is, undecided if the runs decide none of them.
    """
    groups = {
        holds: [
            f"{about} ({finding.text})" for about, finding in findings if finding.holds is holds
        ]
        for holds in _OUTCOMES
    }
    known = {holds: "; ".join(group) for holds, group in groups.items() if group}
    if len(known) == 1:
        ((holds, text),) = known.items()
        return f"{_OUTCOMES[holds][0]}: {text}."
    sentences = ["Confirmed in part." if True in known else "Not confirmed."]
    sentences += [f"{_OUTCOMES[holds][1]}: {text}." for holds, text in known.items()]
    return " ".join(sentences)


def _by_line(part: Part) -> list[list[Experiment]]:
    """Returns the experiments of each line: all points of a grid, or one."""
    return [
        *results.grouped(
            part.experiments, lambda each: each.best_of.grid if each.best_of else each.id
        ).values()
    ]


def _metric(thesis: Thesis) -> str:
    """Returns the metric that decides all comparisons of a thesis; "" for the accuracy metric."""
    named = {compared.metric for compared in thesis.comparisons if compared.rule == "better"}
    return named.pop() if len(named) == 1 else ""


def _evidence(points: Sequence[Experiment], runs: Mapping[str, Sequence[Result]]) -> _Evidence:
    own = [runs[each.id] for each in points]
    counts = planning.promised(points, own)
    kept = [_first(of_point, n) for of_point, n in zip(own, counts, strict=True)]
    done = sum(map(len, kept))
    best_of = points[0].best_of
    if best_of is None:
        return _Evidence(kept[0], done, points[0].seeds)

    among = [planning.first_seeds(each, best_of.among) for each in own]
    best = planning.best_point(among)
    promised = best_of.among * (len(points) - 1) + best_of.seeds
    return _Evidence([] if best is None else kept[best], done, promised)


def _joined(several: Iterable[_Evidence]) -> _Evidence:
    """Returns the runs of several lines as one."""
    every = list(several)
    return _Evidence(
        [run for each in every for run in each.runs],
        sum(each.done for each in every),
        sum(each.promised for each in every),
    )


def _finding(rule: str, evidence: _Evidence) -> Finding:
    """Returns what a rule finds; how many runs there are while some are missing."""
    if not evidence.is_complete:
        done, promised = evidence.done, evidence.promised
        return Finding(f"{done} of {promised} runs so far" if done else "not run")
    return _OF_RUNS[rule](evidence.runs) if rule else Finding("")


def _first(runs: Iterable[Result], count: int) -> list[Result]:
    """Returns those of the runs with the first seeds that are there."""
    return sorted((run for run in runs if run.seed < count), key=lambda run: run.seed)


def _compare(thesis: Thesis, compared: Comparison, runs: Mapping[str, Sequence[Result]]) -> Finding:
    pairs: list[Pair] = []
    promised = 0
    firsts, seconds = (thesis.experiments_of(each) for each in (compared.first, compared.second))
    for one, two in zip(firsts, seconds, strict=True):
        seeds = min(one.seeds, two.seeds)
        promised += seeds
        by_seed = [{run.seed: run for run in runs[each.id]} for each in (one, two)]
        both = [seed for seed in range(seeds) if all(seed in each for each in by_seed)]
        pairs += [(by_seed[0][seed], by_seed[1][seed]) for seed in both]

    if len(pairs) < promised:
        differ = compared.rule == "faster" and len(_machines(pairs)) > 1
        so_far = f"{len(pairs)} of {promised} pairs so far{', on different machines' * differ}"
        return Finding(so_far if pairs else "not run")
    if compared.rule == "better":
        return better(pairs, compared.metric)
    rule = faster if compared.rule == "faster" else smaller
    return rule(pairs, compared.times)


def _all_promised(thesis: Thesis) -> list[int]:
    """Returns how many runs of each experiment are promised, as if the first of a grid were best.

    The sum is right before the best is known, and the points of a grid take equally long.
    """
    counts, grids = [], set()
    for each in thesis.experiments:
        best_of = each.best_of
        counts.append(each.seeds)
        if best_of is not None and best_of.grid not in grids:
            grids.add(best_of.grid)
            counts[-1] = best_of.seeds
    return counts


def _line(
    thesis: Thesis,
    part: Part,
    points: Sequence[Experiment],
    evidence: _Evidence,
    metric: str,
    seconds: float | None,
    finding: str,
) -> Line:
    runs = evidence.runs
    shown = points[0] if len(points) == 1 else None
    if runs:
        shown = next(each for each in points if each.label == runs[0].label)
    test = [run.metrics["test"][metric] for run in runs]
    return Line(
        claim=thesis.name,
        runs=part.name,
        task=points[0].task,
        config=points[0].config,
        model=shown.label if shown else "",
        varied=_varied(shown, part) if shown else "",
        points=len(points),
        seeds=evidence.done,
        promised=evidence.promised,
        judged=len(runs),
        perfect=sum(run.perfect for run in runs),
        metric=metric,
        test=statistics.fmean(test) if test else None,
        test_interval=results.interval(test),
        seconds=seconds,
        finding=finding,
    )


def _varied(experiment: Experiment, part: Part) -> str:
    """Returns the settings of an experiment that others of its part have otherwise, as text."""

    def differs(name: str) -> bool:
        own = experiment.settings[name]
        return any(each.settings.get(name) != own for each in part.experiments)

    names = filter(differs, experiment.settings)
    return ", ".join(naming.write(name, experiment.settings[name]) for name in names)


# Tables and the page


def cells(line: Line) -> list[str]:
    """Returns a line as text, one cell for each of `COLUMNS`."""
    test = ""
    if line.test is not None:
        test = tables.amount(line.metric, line.test)
        test += tables.interval(line.metric, line.test, line.test_interval)
    return [
        line.claim,
        ", ".join(filter(None, [line.runs, line.varied])),
        line.task,
        line.config,
        f"{line.seeds} of {line.promised}",
        f"{line.perfect} of {line.judged}" if line.judged else "",
        test,
        tables.duration(line.seconds),
        line.finding,
    ]


def write_table(judgements: Sequence[Judgement], file: pathlib.Path) -> None:
    """Writes the lines to a .csv or .json file, or the page to an .md file.

    Raises:
        UserError: if the file has another suffix.
        OSError: if the file cannot be written.
    """
    lines = [line for each in judgements for line in each.lines]
    verdicts = {each.thesis.name: each.verdict for each in judgements}
    tables.write(file, lines, lambda _: to_markdown(judgements), verdicts=verdicts)


def to_markdown(judgements: Iterable[Judgement]) -> str:
    """Returns a table of the verdicts and a section for each thesis, in Markdown."""
    judgements = list(judgements)
    summary = tables.markdown(("claim", "by", "verdict"), map(_brief, judgements))
    return "\n".join([summary, *map(_section, judgements)])


def _brief(judgement: Judgement) -> tuple[str, str, str]:
    """Returns the title, with a link to the section, the source, and the verdict in a few words."""
    thesis = judgement.thesis
    anchor = re.sub(r"[^\w -]", "", thesis.title.lower()).replace(" ", "-")
    word = re.split("[.:]", judgement.verdict)[0]
    short = judgement.verdict.rstrip(".") if word == "No verdict yet" else word
    return f"[{thesis.title}](#{anchor})", thesis.source, short


def _section(judgement: Judgement) -> str:
    thesis = judgement.thesis
    findings = judgement.findings[len(judgement.findings) - len(thesis.comparisons) :]
    compared = [f"- {about}: {finding.text}" for about, finding in findings]
    time = tables.duration(judgement.seconds) or "an unknown time"
    paragraphs = [
        f"## {thesis.title}",
        f"**Claim.** {thesis.claim} *{thesis.source}*",
        f"**Experiment.** {thesis.experiment}",
        _table(judgement.lines).strip(),
        "" if judgement.is_complete else "\n".join(compared),
        f"**{judgement.verdict}**",
        f"`not-so-clevr reproduce {thesis.suite}`: {time} on one core.",
    ]
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def _table(lines: Sequence[Line]) -> str:
    """Returns a table in Markdown with a row for each part and a column for each config."""
    configs = [*dict.fromkeys(line.config for line in lines)]
    rows: dict[tuple[str, str, int], list[Line]] = {}
    count: collections.Counter[tuple[str, str, str]] = collections.Counter()
    for line in lines:  # The n-th line of a part on a config is in the n-th row of the part.
        place = line.runs, line.task, line.config
        rows.setdefault((line.runs, line.task, count[place]), []).append(line)
        count[place] += 1

    tasks = collections.Counter(name for name, _ in {(line.runs, line.task) for line in lines})
    text = tables.markdown(("network", *configs, "a run takes"), [])
    for (name, task, _), same in rows.items():
        words = [name]
        if tasks[name] > 1:
            words.append(task)
        if count[name, task, same[0].config] > 1:
            words.append(same[0].varied)
        by_config = {line.config: line for line in same}
        row = [", ".join(words), *(_cell(by_config.get(config)) for config in configs)]
        text += f"| {' | '.join([*row, _times(same)])} |\n"
    return text


def _times(lines: Sequence[Line]) -> str:
    """Returns the shortest and the longest duration of a run."""
    known = [line.seconds for line in lines if line.seconds is not None]
    ends = [tables.duration(end) for end in (min(known), max(known))] if known else []
    return " to ".join(dict.fromkeys(ends))


def _cell(line: Line | None) -> str:
    """Returns how many runs are perfect, and below the share of test that is right."""
    if line is None:
        return ""
    if not line.judged or line.test is None:
        return f"{line.seeds} of {line.promised} runs" if line.seeds else "not run"
    share = tables.amount(line.metric, line.test)
    share += tables.interval(line.metric, line.test, line.test_interval)
    parts = [f"{line.perfect} of {line.judged}", share]
    if line.points > 1:
        parts.append(line.varied)
    if line.seeds != line.promised:
        parts.append(f"{line.seeds} of {line.promised} runs")
    return "<br>".join(parts)
