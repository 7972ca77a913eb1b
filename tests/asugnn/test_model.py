import subprocess
import sys

import numpy as np
import pytest

from asugnn import Context, Crystal, InputError, Labelled, Model
from asugnn.model import HasAblation, HasDomain, HasPretrained, HasReferences, HasWeights
from asugnn.model_registry import (
    ablation_variants,
    configure_model,
    find_model,
    list_models,
    model_presets,
    model_settings,
    model_weights,
)
from asugnn.progress import no_progress

PLUGIN = """
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar, Literal
from asugnn import Context, Labelled

@dataclass
class Constant:
    value: float = 1.0
    epochs: int = 10
    fast: bool = False
    label: str = "a"
    loss: Literal["mse", "l1"] = "mse"
    layers: Literal[1, 2] = 1
    sizes: tuple[int, ...] = (1, 2)
    presets: ClassVar[dict] = {"quick": {"epochs": 2}, "paper": {"epochs": 200, "value": 3.0}}

    def fit(self, train: Labelled, val: Labelled, context: Context) -> None: ...
    def predict(self, crystals): return [self.value] * len(crystals)
    def save(self, folder): ...
    @classmethod
    def load(cls, folder): return cls()

@dataclass
class Half:
    def fit(self, train, val, context): ...

class Plain:
    def __init__(self): ...
    fit = predict = save = load = lambda *_: None
"""
CRYSTAL = Crystal(np.eye(3) * 4, [[0, 0, 0]], [11])


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "constant.py"
    path.write_text(PLUGIN)
    return f"{path}:Constant"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Function that installs a distribution with entry points and modules, as pip would."""

    def install(points: dict[str, str], **modules: str) -> None:
        for name, code in modules.items():
            (tmp_path / f"{name}.py").write_text(code)
            monkeypatch.delitem(sys.modules, name, raising=False)
        info = tmp_path / "stranger-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text("[bench.models]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()))
        monkeypatch.syspath_prepend(tmp_path)

    return install


def test_a_model_from_elsewhere_is_found_as_ours_are(installed):
    installed({"constant": "plug:Constant"}, plug=PLUGIN)
    (hit,) = list_models(["constant"])
    assert (hit.source, hit.distribution, hit.reason) == ("plug:Constant", "stranger 1.5", "")
    assert isinstance(configure_model("constant", "quick", {}), Model)
    assert list_models()[0].name == "mean"
    assert list_models()[-1].name == "constant"  # ours first


def test_a_strangers_model_does_not_replace_ours(installed):
    """Whichever of the two distributions is found first."""
    installed({"mean": "plug:Constant", "constant": "plug:Constant"}, plug=PLUGIN)
    assert find_model("mean").__module__ == "baselines.mean"
    assert find_model("constant").__module__ == "plug"


@pytest.mark.parametrize(
    ("source", "code", "reason"),
    [
        ("broken:A", "import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("broken:A", "def", "SyntaxError: "),
        ("broken:A", "1 / 0", "ZeroDivisionError: division by zero"),
        ("broken:A", "import sys; sys.exit('bye')", "SystemExit: bye"),
        ("broken:A", "B = 1", "AttributeError: "),
        ("broken:A", "class A: fit = predict = lambda self: None", "it is no model: it lacks save, load"),
        ("broken:A", "class B: fit = predict = save = load = print\nA = B()", "it is no model: it is not a class"),
        ("nowhere:A", "", "ModuleNotFoundError: No module named 'nowhere'"),
    ],
)
def test_a_broken_model_is_listed_with_its_reason_and_hurts_nobody(installed, source, code, reason):
    installed({"bad": source, "constant": "plug:Constant"}, broken=code, plug=PLUGIN)
    bad, good = list_models(["bad", "constant"])
    assert bad.model is None
    assert bad.reason.startswith(reason)
    assert good.model is not None
    with pytest.raises(InputError) as caught:
        configure_model("bad", "quick", {})
    assert str(caught.value).startswith(f"model 'bad' ({source}) cannot be loaded: {reason}")


def test_an_unknown_model_gets_a_suggestion():
    with pytest.raises(
        InputError, match=r"there is no model 'cgnn'; did you mean 'cgcnn'\? There is: .*alignn, asugnn, boosted, c"
    ):
        find_model("cgnn")
    with pytest.raises(InputError, match=r"there is no model 'xyzzy'; there is: .*alignn, asugnn"):
        find_model("xyzzy")


def test_a_file_is_a_model_without_packaging(plugin, tmp_path):
    model = configure_model(plugin, "quick", {})
    assert model_settings(model) == {
        "value": 1.0,
        "epochs": 2,
        "fast": False,
        "label": "a",
        "loss": "mse",
        "layers": 1,
        "sizes": (1, 2),
    }
    model.fit(*[Labelled(("a",), [CRYSTAL], np.array([1.0]), "regression")] * 2, Context())
    (tmp_path / "numpy.py").write_text(PLUGIN)
    assert find_model(f"{tmp_path / 'numpy.py'}:Constant")
    assert sys.modules["numpy"] is np  # a file's name shadows nothing


@pytest.mark.parametrize(
    ("file", "attribute", "words"),
    [
        ("gone.py", "A", "there is no file .*gone.py"),
        ("constant.py", "Constnat", "has no 'Constnat'; did you mean 'Constant'"),
        ("constant.py", "Half", "is no model: it lacks predict, save, load"),
        ("bad.py", "A", "bad.py cannot be loaded: SyntaxError"),
        ("exits.py", "A", "exits.py cannot be loaded: SystemExit: 3"),
    ],
)
def test_a_file_that_is_no_model(plugin, tmp_path, file, attribute, words):
    (tmp_path / "bad.py").write_text("def")
    (tmp_path / "exits.py").write_text("raise SystemExit(3)")
    with pytest.raises(InputError, match=words):
        find_model(f"{tmp_path / file}:{attribute}")


def test_a_preset_is_a_set_of_fields(plugin):
    assert (configure_model(plugin, "quick", {}).epochs, configure_model(plugin, "paper", {}).epochs) == (2, 200)
    assert configure_model(plugin, "paper", {"epochs": "7"}).epochs == 7  # what is set wins
    assert configure_model(plugin, "paper", {"epochs": "7"}).value == 3.0
    with pytest.raises(InputError, match="has no preset 'papper'; did you mean 'paper'"):
        configure_model(plugin, "papper", {})


@pytest.mark.parametrize(
    ("name", "hooks"),
    [
        ("mean", set()),
        ("asugnn", {HasDomain, HasAblation}),
        ("alignn", {HasDomain}),
        ("cgcnn", {HasDomain, HasPretrained, HasWeights}),
        ("m3gnet-potential", {HasDomain, HasReferences, HasPretrained, HasWeights}),
    ],
)
def test_the_optional_hooks_of_a_model_are_recognised_by_their_names(name, hooks):
    model = find_model(name)
    assert {hook for hook in (HasDomain, HasReferences, HasPretrained, HasAblation) if issubclass(model, hook)} == (
        hooks - {HasWeights}
    )
    assert isinstance(model, HasWeights) is bool(model_weights(model)) is (HasWeights in hooks)


def test_a_plug_in_offers_hooks_by_having_them(installed):
    hooks = (
        "    def outside(self, crystals): return {0: 'too heavy'}\n"
        "    @classmethod\n"
        "    def pretrained(cls, files): return cls()\n"
        "    @classmethod\n"
        "    def ablation(cls, preset): return [{}, {'epochs': '3'}]\n"
    )
    installed(
        {"constant": "plug:Constant"},
        plug=PLUGIN.replace("\n@dataclass\nclass Half", f"{hooks}\n@dataclass\nclass Half"),
    )
    model = configure_model("constant", "quick", {})
    assert isinstance(model, HasDomain)
    assert model.outside([CRYSTAL]) == {0: "too heavy"}
    assert issubclass(find_model("constant"), HasPretrained)
    assert model_weights(find_model("constant")) == {}
    assert ablation_variants("constant", "paper") == [{}, {"epochs": "3"}]
    with pytest.raises(InputError, match="has no preset 'papper'; did you mean 'paper'"):
        ablation_variants("constant", "papper")


def test_a_model_without_presets_has_both(plugin):
    plain = plugin.replace(":Constant", ":Plain")
    assert model_presets(find_model(plain)) == {"quick": {}, "paper": {}}
    assert model_settings(configure_model(plain, "paper", {})) == {}
    with pytest.raises(InputError, match="has no fields to set: it is not a dataclass"):
        configure_model(plain, "quick", {"a": "1"})


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("epochs", "50", 50),
        ("epochs", "-1", -1),
        ("value", "1e-4", 1e-4),
        ("value", "2", 2.0),
        ("fast", "true", True),
        ("fast", "False", False),
        ("label", "some words", "some words"),
        ("label", "", ""),
        ("loss", "l1", "l1"),
        ("layers", "2", 2),
    ],
)
def test_a_field_is_set_from_text(plugin, key, text, value):
    got = getattr(configure_model(plugin, "quick", {key: text}), key)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("epochs", "5.5", "constant.py:Constant.epochs must be a whole number, not '5.5'"),
        ("epochs", "", "epochs must be a whole number, not ''"),
        ("value", "fast", "value must be a number, not 'fast'"),
        ("value", "nan", "value must be a finite number, not 'nan'"),
        ("value", "inf", "value must be a finite number, not 'inf'"),
        ("fast", "1", "fast must be true or false, not '1'"),
        ("loss", "L1", "loss cannot be 'L1'; did you mean 'l1'? There is: l1, mse"),
        ("layers", "3", "layers cannot be '3'; there is: 1, 2"),
        ("sizes", "(1, 2)", "sizes cannot be set from text: it is a tuple[int, ...]"),
        ("epoch", "5", "has no field 'epoch'; did you mean 'epochs'?"),
        ("presets", "{}", "has no field 'presets'"),
        ("__class__", "int", "has no field '__class__'"),
    ],
)
def test_what_cannot_be_set(plugin, key, text, words):
    with pytest.raises(InputError) as caught:
        configure_model(plugin, "quick", {key: text})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("ids", "y", "kind", "words"),
    [
        (("a", "b"), [1.0], "regression", "2 ids, 1 crystals, 1 labels"),
        (("a",), [np.nan], "regression", "a label is not a finite number"),
        (("a",), [0.5], "binary", "a binary label is neither 0 nor 1"),
    ],
)
def test_labels_are_checked(ids, y, kind, words):
    with pytest.raises(ValueError, match=words):
        Labelled(ids, [CRYSTAL], np.array(y), kind)


def test_silent_progress_says_nothing(capsys):
    with no_progress("work", 3) as bar:
        bar.advance()
        bar.advance(2, "note")
    assert capsys.readouterr() == ("", "")


def test_our_models_are_listed_without_torch():
    code = (
        "import sys; from asugnn.model_registry import list_models;"
        "print([m.reason for m in list_models() if m.reason],"
        "sorted({'torch', 'sklearn', 'pymatgen', 'matgl', 'ase', 'scipy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"
