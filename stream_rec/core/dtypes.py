"""NumPy arrays by the type of their elements, as annotations name them."""

import numpy as np
import numpy.typing as npt

__all__ = ["F32", "F64", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "Mask", "Structs"]

I16 = npt.NDArray[np.int16]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
U32 = npt.NDArray[np.uint32]
U16 = npt.NDArray[np.uint16]
U8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Structs = npt.NDArray[np.void]
"""Records of one of the dtypes in `index.kernel.state`."""
