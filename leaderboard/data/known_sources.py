"""The data sets that are known by name, with origin, licence, citation and targets."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.data.public_boards import PUBLIC_SOURCES
from leaderboard.data.targets import Column, Source, Target, log10_of, values_of, where, zero_gap


def _targets(energy: Column, gap: Column, modulus: Column, meanings: Sequence[str]) -> tuple[Target, ...]:
    """Formation energy, band gap, bulk modulus and metal, from three columns and the four meanings."""
    return (
        Target("formation-energy", "regression", "eV/atom", meanings[0], energy),
        Target("band-gap", "regression", "eV", meanings[1], gap),
        Target("bulk-modulus", "regression", "log10 GPa", meanings[2], log10_of(modulus)),
        Target("metal", "binary", "", meanings[3], zero_gap(gap), positive="metal"),
    )


_COMPUTED = ("set", ["reference", "compound"])
_EQUILIBRIUM = ("equilibrium", [True])

SOURCES = (
    Source(
        name="open-dft",
        title="GPAW/PBE compounds over prototypes, several volumes each; distorted Ag and Fe-C",
        file="_data/open-dft/open_dft.parquet",
        embedded=True,
        licence="MIT",
        citation="The asugnn-bench developers, open-dft version 2 (2026)",
        targets=(
            *_targets(
                where(values_of("formation_energy"), _COMPUTED),
                where(values_of("band_gap"), _COMPUTED, _EQUILIBRIUM),
                where(values_of("bulk_modulus"), _COMPUTED, _EQUILIBRIUM),
                (
                    "PBE, several volumes of each compound",
                    "PBE on the k-mesh, at equilibrium, metals included as 0",
                    "clamped-ion, from an equation of state",
                    "gap on the k-mesh below 0.01 eV, at equilibrium",
                ),
            ),
            Target(
                "zero-shot",
                "regression",
                "eV/atom",
                "formation energy of distorted Ag and Fe-C, by the model of formation-energy",
                where(values_of("formation_energy"), ("set", ["zero_shot"])),
                model_of="formation-energy",
                by_system=True,
            ),
        ),
    ),
    Source(
        name="mp-2018",
        title="Materials Project crystals with the labels of 2018: most of the CGCNN list",
        file="mp_subset.parquet",
        embedded=False,
        licence="CC-BY-4.0",
        citation="Jain et al., APL Mater. 1, 011002 (2013); list: Xie & Grossman, PRL 120, 145301 (2018)",
        url="https://materialsproject.org",
        targets=_targets(
            values_of("e_form_2018"),
            values_of("band_gap_2018"),
            values_of("bulk_modulus_vrh"),
            (
                "Materials Project of 2018",
                "Materials Project of 2018, PBE, metals included as 0",
                "Voigt-Reuss-Hill average",
                "gap of exactly 0 as stored in 2018",
            ),
        ),
    ),
    Source(
        name="mp-2024-1",
        title="the paper's data set: Materials Project of January 2024, screened as the paper says",
        file="data.parquet",
        embedded=False,
        licence="CC-BY-4.0",
        citation="Jain et al., APL Mater. 1, 011002 (2013); screening: Cao, Anderson & Davis, J. Appl. Cryst. (2025)",
        url="https://materialsproject.org",
        targets=_targets(
            values_of("formation_energy"),
            values_of("band_gap"),
            values_of("bulk_modulus_voigt"),
            (
                "Materials Project, database version 2023-11-01",
                "Materials Project, PBE, metals included as 0",
                "Voigt average",
                "gap of exactly 0 as stored",
            ),
        ),
        command="bench data build mp-2024-1",
    ),
    Source(
        name="hm",
        title="HMdataset: random Ag and Fe-C structures, VASP",
        file="data.parquet",
        embedded=False,
        licence="as on its page: huggingface.co/caobin/ASUGNN",
        citation="Cao, Anderson & Davis, J. Appl. Cryst. (2025)",
        url="https://huggingface.co/caobin/ASUGNN",
        targets=(
            Target(
                "zero-shot",
                "regression",
                "eV/atom",
                "formation energy of random Ag and Fe-C, by the model of mp-2024-1/formation-energy",
                values_of("formation_energy"),
                model_of="mp-2024-1/formation-energy",
                by_system=True,
            ),
            Target(
                "metal",
                "binary",
                "",
                "gap of exactly 0 as stored, by the model of mp-2024-1/metal",
                zero_gap(values_of("band_gap")),
                model_of="mp-2024-1/metal",
                by_system=True,
                positive="metal",
            ),
        ),
        command="bench data fetch hm",
    ),
    Source(
        name="fe-gap22",
        title="ferromagnetic iron, strained, cracked and with surfaces: what the potential Fe-GAP22 was fitted to",
        file="fe_gap22.parquet",
        embedded=False,
        licence="MIT",
        citation="Zhang, Csanyi, van der Giessen & Maresca, npj Comput. Mater. 9, 217 (2023)",
        url="https://github.com/leiapple/Fe-GAP22",
        targets=(
            Target(
                "zero-shot",
                "regression",
                "eV/atom",
                "energy above the lowest bcc iron, Quantum ESPRESSO, by the model of mp-2018/formation-energy",
                values_of("formation_energy_per_atom"),
                model_of="mp-2018/formation-energy",
                dependent=True,
                by_system=True,
            ),
        ),
    ),
    Source(
        name="nomad2018",
        title="Kaggle's NOMAD2018: (Al,Ga,In)2O3, 2,400 crystals to train and 600 to test",
        file="data.parquet",
        embedded=False,
        licence="as on its page: github.com/csutton7/nomad_2018_kaggle_dataset",
        citation="Sutton et al., npj Comput. Mater. 5, 111 (2019)",
        url="https://github.com/csutton7/nomad_2018_kaggle_dataset",
        targets=(
            Target(
                "formation-energy",
                "regression",
                "eV/cation",
                "PBE, of mixing, as in the competition",
                values_of("formation_energy"),
                ranked_by="rmsle",
            ),
            Target(
                "band-gap",
                "regression",
                "eV",
                "PBE, as in the competition",
                values_of("band_gap"),
                ranked_by="rmsle",
            ),
        ),
        command="bench data fetch nomad2018",
    ),
    *PUBLIC_SOURCES,
)
