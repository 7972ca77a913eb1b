"""Chemical systems of formulas."""

import pytest

from leaderboard.scoring.chemical_systems import chemical_system


@pytest.mark.parametrize(
    ("formula", "system"),
    [
        ("Ag4", "Ag"),
        ("Fe", "Fe-C"),
        ("C", "Fe-C"),
        ("CFe3", "Fe-C"),
        ("NaCl", "Cl-Na"),
        ("CO2", "C-O"),
        ("AgC", "Ag-C"),
    ],
)
def test_iron_and_carbon_alone_belong_to_their_system(formula: str, system: str):
    assert chemical_system(formula) == system
