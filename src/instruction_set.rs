//! The instruction sets that the CPU engine is compiled for.

use crate::names::names;

/// An instruction set that the CPU engine is compiled for; all yield the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum InstructionSet {
    /// What the build's target guarantees: SSE2 on x86-64, NEON on aarch64.
    Baseline,
    /// AVX2 with BMI1, BMI2, LZCNT and POPCNT.
    Avx2,
    /// AVX-512 F, BW, CD, DQ and VL beside all of [`Avx2`](Self::Avx2).
    Avx512,
}

impl InstructionSet {
    /// The widest set that this processor offers.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512cd")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if avx512 {
                return Self::Avx512;
            }
            if avx2 {
                return Self::Avx2;
            }
        }
        Self::Baseline
    }

    /// Every set that this processor offers, narrowest first.
    pub fn available() -> Vec<Self> {
        let best = Self::detect();
        [Self::Baseline, Self::Avx2, Self::Avx512]
            .into_iter()
            .filter(|&set| set <= best)
            .collect()
    }
}

names!(InstructionSet { Baseline => "baseline", Avx2 => "AVX2", Avx512 => "AVX-512" });
