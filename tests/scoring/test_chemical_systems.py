"""Chemical systems of formulas."""

from leaderboard.scoring.chemical_systems import system_names


def test_iron_and_carbon_alone_belong_to_their_system():
    formulas = ["Ag4", "Fe", "C", "CFe3", "NaCl", "CO2", "AgC"]
    assert list(system_names(formulas)) == ["Ag", "Fe-C", "Fe-C", "Fe-C", "Cl-Na", "C-O", "Ag-C"]


def test_iron_without_carbon_is_iron():
    assert list(system_names(["Fe", "Fe2"])) == ["Fe", "Fe"]
