//! Names: what a value is called in files, on the command line and in Python, in one place.

/// Gives an enum its names: `Display`, and `Serialize` with the feature `serde`, both by the name.
///
/// With `as WHAT` it can be read from a name too (`FromStr`), and lists all of them in `NAMES`.
macro_rules! names {
    ($type:ty { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self {
                    $(Self::$variant => $name,)+
                })
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
    ($type:ty as $what:literal { $($variant:ident => $name:literal),+ $(,)? }) => {
        names!($type { $($variant => $name),+ });

        impl $type {
            /// The names that can be read and are written, in the order of the variants.
            pub const NAMES: &'static [&'static str] = &[$($name),+];
        }

        impl std::str::FromStr for $type {
            type Err = $crate::Error;

            /// Reads a name exactly as it is written.
            fn from_str(name: &str) -> Result<Self, $crate::Error> {
                match name {
                    $($name => Ok(Self::$variant),)+
                    _ => Err($crate::Error::Name {
                        what: $what,
                        found: name.to_owned(),
                        allowed: Self::NAMES,
                    }),
                }
            }
        }
    };
}

pub(crate) use names;

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Display};
    use std::str::FromStr;

    use crate::{Backend, Connectivity, Engines, Error, GpuUse, MemoryGuard};

    fn round<T: FromStr<Err = Error> + Display + Debug>(names: &[&str]) {
        for &name in names {
            let value: T = name.parse().expect(name);
            assert_eq!(value.to_string(), name);
        }
        for wrong in ["", "nonsense", " 4", "CPU", "Strict"] {
            let refused = wrong.parse::<T>().expect_err(wrong).to_string();
            assert!(refused.contains(&format!("{wrong:?}")), "{refused}");
            for name in names {
                assert!(refused.contains(name), "{refused}");
            }
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        round::<Backend>(Backend::NAMES);
        round::<Connectivity>(Connectivity::NAMES);
        round::<GpuUse>(GpuUse::NAMES);
        round::<MemoryGuard>(MemoryGuard::NAMES);
        assert_eq!(Backend::NAMES, ["auto", "cpu", "gpu"]);
        assert_eq!(Connectivity::NAMES, ["4", "8"]);
        assert_eq!(GpuUse::NAMES, ["where-useful", "off", "require"]);
        assert_eq!(MemoryGuard::NAMES, ["error", "warn", "ignore"]);
        assert_eq!("8".parse(), Ok(Connectivity::Eight));
        assert_eq!(Engines::Both.to_string(), "cpu+gpu");
        assert_eq!(format!("{:>5}", Backend::Cpu), "  cpu");
    }
}
