"""Formulas as the field writes them: the electropositive element first, NaCl and TiO2."""

from __future__ import annotations

import re

# From electropositive to electronegative by Pauling's scale, as pymatgen has it, equal ones by name. Those of the last
# line have no value.
ORDER = """
    Fr Cs K Rb Ba Ra Na Sr Li Ca Ac La Tb Yb Ce Pm Pr Nd Sm Eu Gd Dy Y Ho Er Tm Lu Pu Am Bk Cf Cm Es Fm Hf Lr Md No Th
    Mg Zr Np Sc U Pa Ta Ti Mn Be Nb Al Tl V Zn Cr Cd In Ga Fe Co Cu Re Si Tc Ni Ag Sn Hg Po Ge Bi B Sb Te Mo As P At H
    Ir Os Pd Rn Ru Pt Rh Pb W Au C Se S Xe I Br Kr N Cl O F
    Ar Bh Cn Db Ds Fl He Hs Lv Mc Mt Ne Nh Og Rf Rg Sg Ts
"""
PLACE = {symbol: place for place, symbol in enumerate(ORDER.split())}
PART = re.compile(r"([A-Z][a-z]?)(\d*)")
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def html_formula(text: str) -> str:
    """A formula with its elements in the usual order, and with subscripts; what is no plain formula stays as it is."""
    parts = PART.findall(text)
    if "".join(symbol + count for symbol, count in parts) != text or not all(symbol in PLACE for symbol, _ in parts):
        return text
    ordered = sorted(parts, key=lambda part: PLACE[part[0]])
    return "".join(symbol + count for symbol, count in ordered).translate(SUBSCRIPTS)
