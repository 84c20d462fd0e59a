"""xarray in, xarray out: coordinates are kept, and the result says how it was made."""

import numpy as np
import xarray as xr
from recording import SECONDS, X, Y, posterior

import peakmask

# Time first, as most decoders return it: the dimensions are found by name.
P = xr.DataArray(
    posterior(400).transpose(2, 0, 1),
    dims=("time", "x_position", "y_position"),
    coords={
        "time": ("time", np.arange(400) * SECONDS, {"units": "s"}),
        "x_position": ("x_position", X, {"units": "cm"}),
        "y_position": ("y_position", Y, {"units": "cm"}),
    },
)
analysis = peakmask.analyze(P, alpha=[0.5, 0.9])
assert analysis.mask(0.5).shape == P.shape

result = analysis.to_xarray()
print(result)
half = result["mask"].sel(alpha=0.5)
area = half.sum(["x_position", "y_position"]) * 2.5**2
print(f"area of the region in the first minute: {area.sel(time=slice(0, 60)).mean().item():.0f} cm2")
