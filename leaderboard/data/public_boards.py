"""The data sets of two public boards, Matbench and the JARVIS-Leaderboard, with the digests of what they publish.

A digest stands for a file as it was when the board was read at the commit named here. Labels, ids and compositions of
a task are one small file of the board's repository, and enough to score predictions; crystals are another, larger one.
`split_sha256` is that of the split file which is made from the ids, so that folds cannot change unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from asugnn.model import Kind
from leaderboard.data.targets import Source, Target, values_of

OFFICIAL = "official"  # the split of a public board
MATBENCH_COMMIT = "936176db18ca4cd7b38cbd957c017a5bac770c6b"  # of github.com/materialsproject/matbench
JARVIS_COMMIT = "57afc55f94c8a6f4562f73a3173968cd4b2f83b1"  # of github.com/usnistgov/jarvis_leaderboard


@dataclass(frozen=True)
class MatbenchTask:
    """One of the 13 tasks of Matbench v0.1, each with its own data set."""

    name: str
    label: str  # column of the label, in the file of the labels and in that of the crystals
    target: str
    unit: str  # empty for two classes
    meaning: str
    n: int
    crystals_sha256: str  # of the gzipped JSON of structures
    labels_sha256: str  # of scripts/artifacts/<name>.json.bz2
    split_sha256: str
    positive: str = ""  # the name of class 1
    structures: bool = True

    @property
    def kind(self) -> Kind:
        """What is predicted: a number, or one of two classes."""
        return "binary" if self.positive else "regression"


MATBENCH = {
    task.name: task
    for task in (
        MatbenchTask(
            "matbench_mp_e_form", "e_form", "formation-energy", "eV/atom", "Materials Project, PBE", 132752,
            "dedcb1d4ba2e3e50dbdd45ba5bc647a00e9c2bcf8f8bf556dc8e92caa39eb21f",
            "961b8860f59ef81c6828b91dc5ce10371c7cc744c52bdd5a0433086e5295da75",
            "08838fa71bc95639125c49b2d3c64cf52cb457471bdec33e1fe01a64453ab299",
        ),
        MatbenchTask(
            "matbench_mp_gap", "gap pbe", "band-gap", "eV", "Materials Project, PBE, metals included as 0", 106113,
            "58b65746bd88329986ed66031a2ac1369c7c522f7bc9f9081528e07097c2c057",
            "ba32d1f0e79dc94e453e4efd3208cd288ba8e54dbef37ff700e896eafa539ac8",
            "70196ee4bd2fb7a8e5f36a4056ff6652e72948e1b8a7413eaeda736b723836c2",
        ),
        MatbenchTask(
            "matbench_mp_is_metal", "is_metal", "metal", "", "Materials Project, PBE gap of 0", 106113,
            "9a028ed5750a4c76ca36e9f3c8d48fe0bf3fb21b76ec2289e58ae7048d527919",
            "4fa68d3469419db0f55c70bf1131415df803b1119f7be61673058e3a4dbbba5d",
            "0cecdfb5a831167da83afd776fc383b5636229c76b74b674e1b275b7bdae73c2",
            positive="metal",
        ),
        MatbenchTask(
            "matbench_log_kvrh", "log10(K_VRH)", "bulk-modulus", "log10 GPa", "Voigt-Reuss-Hill average", 10987,
            "44b113ddb7e23aa18731a62c74afa7e5aa654199e0db5f951c8248a00955c9cd",
            "c61c243695d00ba290e1787b3a6c9d849a7da0b3f2339f847d1dfa173eec9d75",
            "051a15678396bd88d2dd97e38a9bb0d8010a751d40848bd3baafd09f1240eb0a",
        ),
        MatbenchTask(
            "matbench_log_gvrh", "log10(G_VRH)", "shear-modulus", "log10 GPa", "Voigt-Reuss-Hill average", 10987,
            "098af941f4c663270f1fe21abf20ffad6fb85ecbfcba5786ceac03983ac29da7",
            "4895201003e4da1592fe2bad4ba7c627f204e755fd929c43984b0ca5c6d34e40",
            "926409a52d441ca433ca61904e931f3fbe852ccd818fa5f593b901992e8a5d51",
        ),
        MatbenchTask(
            "matbench_dielectric", "n", "refractive-index", "1", "from the mean electronic dielectric constant", 4764,
            "83befa09bc2ec2f4b6143afc413157827a90e5e2e42c1eb507ccfa01bf26a1d6",
            "828b3c40e350e146177e86fdf5812d409688fbedee29c84dea6aacb146a31d37",
            "9bf30996c4e4cb98633f3b15d9f1a44b48fbaddcda5461b4c8ac516230642f13",
        ),
        MatbenchTask(
            "matbench_jdft2d", "exfoliation_en", "exfoliation-energy", "meV/atom", "JARVIS-DFT, optB88-vdW", 636,
            "26057dc4524e193e32abffb296ce819b58b6e11d1278cae329a2f97817a4eddf",
            "57591e4c178800135bfb497246ddf4422a14fcde67f77187c66a28f9632ff20c",
            "5bbfd9f8976ca54e3962ec4a2667c3d8d11bfc68db22e6ba15c63aedb19e8269",
        ),
        MatbenchTask(
            "matbench_perovskites", "e_form", "formation-energy", "eV/cell", "cubic perovskite cells", 18928,
            "4641e2417f8ec8b50096d2230864468dfa08278dc9d257c327f65d0305278483",
            "3c45312ebb0c6e5f7be4d1f2842c186d4906afbb3f8e80882f3c08bc3ba49f0a",
            "3108b5a9009b60022aab9d4f1042ba19b7350aa3bee7410d33a9a157ea08993b",
        ),
        MatbenchTask(
            "matbench_phonons", "last phdos peak", "phonon-peak", "1/cm", "last peak of the phonon density of states",
            1265,
            "4db551f21ec5f577e6202725f10e34dfc509aa7df3a6bdaac497da7f6dbbb9b3",
            "17ce45bd20aea96fa59d8adddb08abde59934033ba5446e7ffcc4df333331790",
            "58096fa45928d0aebef8b716c4a5a20e8f55f34d1105feb6aec2d8bbe52bc697",
        ),
        MatbenchTask(
            "matbench_glass", "gfa", "glass", "", "forms a metallic glass, experiment", 5680,
            "36beb654e2a463ee2a6572105bea0ca2961eee7c7b26a25377bff2c3b338e53a",
            "0f907acf156830277fbcb168985cf1cd77e4598b0d4351c441967b9f5d294f21",
            "4a94b50df46d1f24cdcf6ded28bc92b567d17ccc3e00ae8b0933992b1e5b4a32",
            positive="glass",
            structures=False,
        ),
        MatbenchTask(
            "matbench_expt_gap", "gap expt", "band-gap", "eV", "experiment, metals included as 0", 4604,
            "783e7d1461eb83b00b2f2942da4b95fda5e58a0d1ae26b581c24cf8a82ca75b2",
            "11d79ac6f2c25e23a136295e9bc37ea9ea4a9fa936c6bc366e777c1cb1c397b9",
            "f447238d3845eaac67696c64bd9edfe8fa570440dcaa9b82b24909e1ef6ec58a",
            structures=False,
        ),
        MatbenchTask(
            "matbench_expt_is_metal", "is_metal", "metal", "", "experiment", 4921,
            "8f2a4f9bacdcbc5c2c73615629ee7986f09d39bed40ba7db52b61b2889730887",
            "72b2b60ebe3506aae9d3498f8fbb6c0e7268ba502c0c30561b5ff90490643ba1",
            "5e82a170a555421616e4ce609ab03cece4606de81b7570129bc7ba561bfafda6",
            positive="metal",
            structures=False,
        ),
        MatbenchTask(
            "matbench_steels", "yield strength", "yield-strength", "MPa", "experiment", 312,
            "473bc4957b2ea5e6465aef84bc29bb48ac34db27d69ea4ec5f508745c6fae252",
            "f62ab2e43009e58bdeb3cb83637359e163e065caaf9fe309fab9bb8c7ad54aac",
            "3f9d894f36bc9184ec431c7f94e563fe00185368802e08091e43b08605cd0eca",
            structures=False,
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class JarvisTarget:
    """One task of the JARVIS-Leaderboard: a property of a data set, with a split of its own."""

    property: str  # in the names of its files, and in the file of the crystals
    unit: str
    meaning: str
    labels_sha256: str  # of benchmarks/AI/SinglePropertyPrediction/<dataset>_<property>.json.zip
    column: str = ""  # in the file of the crystals, where it is not called like the property


@dataclass(frozen=True)
class JarvisDataset:
    """A data set of the JARVIS-Leaderboard: the name it has there, and its tasks by target."""

    name: str
    theirs: str
    title: str
    figshare: int  # id of the file of the crystals
    id_key: str  # of a crystal in that file
    split_sha256: str
    targets: Mapping[str, JarvisTarget] = field(default_factory=dict)


JARVIS = {
    data.name: data
    for data in (
        JarvisDataset(
            "jarvis_dft_3d_2021", "dft_3d", "JARVIS-DFT of August 2021", 29204826, "jid",
            "9f661e890ed4768c26cf73b953194c5ef83ddc16a1a8aff3474a0663a81df1e8",
            {
                "formation-energy": JarvisTarget(
                    "formation_energy_peratom", "eV/atom", "optB88-vdW",
                    "ffaef5d3512a29c93f005c8b9f014b467dfa561b1c23632524ff91bbfa6f759f",
                ),
                "band-gap": JarvisTarget(
                    "optb88vdw_bandgap", "eV", "optB88-vdW, metals included as 0",
                    "6d9f7f6a7c321497649afa10f11e5e3b17f5ae7de4ff508e5e1ec2ee7cfb59e9",
                ),
                "mbj-band-gap": JarvisTarget(
                    "mbj_bandgap", "eV", "Tran-Blaha modified Becke-Johnson, metals included as 0",
                    "7aee71bfea2f67e10a9aad4cc6b83636b58e09b46e01c713a82a333e9632fd95",
                ),
                "bulk-modulus": JarvisTarget(
                    "bulk_modulus_kv", "GPa", "Voigt average, optB88-vdW",
                    "5535abd36e95770708fb59404174a0de1b6ff9245ac5714dcffcc1ff57fb7239",
                ),
            },
        ),
        JarvisDataset(
            "jarvis_megnet", "megnet", "MP-2018.6.1, split into 60,000, 5,000 and 4,239", 26724977, "id",
            "b23f26bf9ba8030dc793e67b973df9bb96fbd3412a11e5b4ebdcc3a6c0c5128e",
            {
                "formation-energy": JarvisTarget("e_form", "eV/atom", "Materials Project of June 2018",
                    "da8612889b31ac223465011c07d19ad1649802c4fa17aeaa515b3c53b6c60ddf",
                ),
                "band-gap": JarvisTarget(
                    "gappbe", "eV", "Materials Project of June 2018, PBE, metals included as 0",
                    "ab79f9f722731aa5131ca97df91d48cf37611dab9b0ac5934e274be7e7071b1e",
                    column="gap pbe",
                ),
            },
        ),
    )
}  # fmt: skip


def _matbench_source(task: MatbenchTask) -> Source:
    target = Target(
        task.target, task.kind, task.unit, task.meaning, values_of(task.target), positive=task.positive
    )  # fmt: skip
    return Source(
        name=task.name,
        title=f"Matbench v0.1, {task.n:,} {'crystals' if task.structures else 'compositions'}",
        file="data.parquet",
        embedded=False,
        licence="as on its page: github.com/materialsproject/matbench",
        citation="Dunn et al., npj Comput. Mater. 6, 138 (2020)",
        url="https://github.com/materialsproject/matbench",
        targets=(target,),
        command=f"bench data fetch {task.name}",
        default_rule=OFFICIAL,
        compositions=not task.structures,
    )


def _jarvis_source(data: JarvisDataset) -> Source:
    targets = (
        Target(name, "regression", target.unit, target.meaning, values_of(name))
        for name, target in data.targets.items()
    )
    return Source(
        name=data.name,
        title=data.title,
        file="data.parquet",
        embedded=False,
        licence="as on its page: github.com/usnistgov/jarvis_leaderboard",
        citation="Choudhary et al., npj Comput. Mater. 10, 93 (2024); npj Comput. Mater. 6, 173 (2020)",
        url="https://github.com/usnistgov/jarvis_leaderboard",
        targets=tuple(targets),
        command=f"bench data fetch {data.name}",
        default_rule=OFFICIAL,
    )


PUBLIC_SOURCES = (*map(_matbench_source, MATBENCH.values()), *map(_jarvis_source, JARVIS.values()))
BOARDS = {"matbench": tuple(MATBENCH), "jarvis": tuple(JARVIS)}  # data sets by board
