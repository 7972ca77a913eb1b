"""asugnn: crystals, the model interface, and ASUGNN. All that a plug-in imports is here."""

from asugnn.crystal import Crystal
from asugnn.errors import InputError
from asugnn.model import Context, Labelled, Model

__all__ = ["Context", "Crystal", "InputError", "Labelled", "Model"]
__version__ = "0.1.0"
