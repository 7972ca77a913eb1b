"""asugnn: crystals, the model interface, and ASUGNN. All that a plug-in imports is here.

Its modules are public too: `asugnn.torch_model` for a torch network, `asugnn.structure_files` to read crystals,
`asugnn.embedding` and `asugnn.asugnn` for ASUGNN. Only those that need torch import it.
"""

from asugnn.crystal import Crystal
from asugnn.errors import InputError
from asugnn.model import Context, Labelled, Model
from asugnn.version import __version__

__all__ = ["Context", "Crystal", "InputError", "Labelled", "Model", "__version__"]
