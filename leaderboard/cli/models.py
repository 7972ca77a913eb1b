"""`bench models`, `check`, `predict`, `embed`: models, and what they make of crystals in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from asugnn.errors import InputError
from leaderboard.cli.options import (
    Crystals,
    Device,
    PredictionFormat,
    Preset,
    parse_list,
    print_words,
    progress_bars,
)


def models() -> None:
    """List the installed models and their published weights.

    Example:

    bench models
    """
    from asugnn.model_registry import list_models
    from leaderboard.reports import render_models

    typer.echo(render_models(list_models()))


def check(
    name: Annotated[str, typer.Argument(help="Model, or FILE.py:CLASS for a class in a file.", show_default=False)],
    preset: Preset = "quick",
) -> None:
    """Check a model: shapes, seeds, saving, batches, claimed invariances.

    Example:

    bench check my_model.py:Nearest
    """
    from leaderboard._util import ProcessEndedError, yield_from_process
    from leaderboard.running import check_model, failed_findings

    findings = []
    try:
        for finding in yield_from_process(check_model, name, preset):
            print_words(finding.line)
            findings.append(finding)
    except ProcessEndedError as error:
        raise InputError(f"model '{name}' cannot be checked: {error}") from error
    if broken := failed_findings(findings):
        raise InputError(f"model '{name}' breaks {len(broken)} of {len(findings)} points of the contract")
    typer.echo(f"model '{name}' keeps the contract")


def predict(
    files: Crystals,
    target: Annotated[
        str, typer.Option("--target", help="Properties to predict, such as bulk-modulus; or all.")
    ] = "all",
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Predict with the model of this finished run: its folder.",
                     show_default=False),
    ] = None,
    weights: Annotated[
        str,
        typer.Option("--pretrained", help="Predict with published weights: a name, or a folder.", show_default=False),
    ] = "",
    model: Annotated[
        str,
        typer.Option("--model", help="Model of a run made with FILE.py:CLASS, or of a folder of weights."),
    ] = "all",
    form: Annotated[
        PredictionFormat, typer.Option("--format", help="auto: a table on a terminal, CSV elsewhere.")
    ] = "auto",
    device: Device = "auto",
) -> None:  # fmt: skip
    """Predict the properties of crystals in files.

    The models that come with the package predict them, with intervals that
    contain the true value in nine cases of ten. With --run or --pretrained,
    another model predicts its one property, as CSV: id, value. A crystal that
    cannot be read or predicted is skipped and named, and the exit status is
    then 1.

    Example:

    bench predict *.cif
    """
    from leaderboard._util import use_workspace
    from leaderboard.records import predictions_text
    from leaderboard.running import choose_device, load_predictor, predict_files, read_crystal_files

    if run is not None and weights:
        raise typer.BadParameter("choose one: --run FOLDER of a stored run, or --pretrained NAME of published weights")
    if run is None and not weights:
        if model != "all":
            raise typer.BadParameter("--model belongs to --run or --pretrained: add one of them, or leave --model out")
        from leaderboard.reports import render_predictions
        from leaderboard.shipped import predict_shipped

        if not (targets := parse_list(target)):
            raise InputError(f"--target '{target}' names no property: leave it out for all of them")
        crystals, skipped = read_crystal_files(files)
        with use_workspace(device=choose_device(device)):
            found, refused = predict_shipped(crystals, [] if target == "all" else targets)
        typer.echo(render_predictions(found, form))
        _tell_skipped([*skipped, *(f"{name}: {why}" for name, why in refused.items())], len(crystals) - len(refused))
        return
    if form not in ("auto", "csv") or target != "all":
        raise typer.BadParameter("--target and --format belong to the models that come with the package")
    with use_workspace(device=choose_device(device)):
        name, fitted = load_predictor(run, weights, [] if model == "all" else parse_list(model))
    values, skipped = predict_files(fitted, files, refer=run is None)
    seven_digits = [float(f"{value:.7g}") for value in values.values()]  # the networks compute with no more
    typer.echo(predictions_text(list(values), name, seven_digits), nl=False)
    _tell_skipped(skipped, len(values))


def embed(
    files: Crystals,
    out: Annotated[Path, typer.Option("--out", help="File to write, .npz.", show_default=False)],
) -> None:
    """Write the inputs of ASUGNN for crystals: nodes, asuam, dam, orbits, pxrd.

    The arrays of several crystals are named ID/nodes, ID/asuam and so on. What
    cannot be read is skipped and named, and the exit status is 1.

    Example:

    bench embed *.cif --out crystals.npz
    """
    from leaderboard._util import require_packages
    from leaderboard.running import embed_files

    require_packages(("moyopy", "jarvis", "ase", "scipy"), "models")
    with progress_bars("embed"):
        count, skipped = embed_files(files, out)
    typer.echo(f"{count} crystal{'s' * (count != 1)} in {out}")
    _tell_skipped(skipped, count)


def _tell_skipped(skipped: Sequence[str], count: int) -> None:
    """Print what was skipped, beside `count` crystals that were not; raises `InputError` if anything was."""
    for sentence in skipped:
        print_words(f"skipped: {sentence}", err=True)
    if skipped:
        raise InputError(f"{len(skipped)} of {count + len(skipped)} files or crystals were skipped: see above")
