"""The drop-in: one changed import line, and the code below it as it was."""

import numpy as np
from recording import posterior

# before: from pyphoplacecellanalysis.External.peak_prominence2d import PeakPromenence
from peakmask.compat import PeakPromenence

a_p_x_given_n = posterior(500)
alpha_list = [0.5, 0.9]

epoch_promenence_tuples, epoch_masks_list = PeakPromenence.compute_2d_dt_posterior_peak_promenences(
    a_p_x_given_n=a_p_x_given_n, alpha=alpha_list
)
epoch_masks_dict = dict(zip(alpha_list, epoch_masks_list))
mask = epoch_masks_dict[alpha_list[-1]]
assert np.shape(mask) == np.shape(a_p_x_given_n)

num_bins = np.nansum(mask, axis=(0, 1))
heights = np.array([np.nanmax(h) if len(h) > 0 else np.nan for (_, _, h) in epoch_promenence_tuples])
num_peaks = np.array([len(h) for (_, _, h) in epoch_promenence_tuples])
peakiness = num_bins / np.array(
    [np.nansum(a_p_x_given_n[:, :, i] >= h * alpha_list[-1]) for i, h in enumerate(heights)]
)
print(f"{num_bins.mean():.1f} cells at alpha 0.9, {num_peaks.mean():.1f} peaks a bin, peakiness {peakiness.mean():.2f}")
