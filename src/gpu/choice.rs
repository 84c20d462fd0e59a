//! Which adapter serves.

use crate::{Adapter, AdapterKind, Adapters};

/// Which adapter a caller wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice<'a> {
    /// Its number, its place on the PCI bus, or a part of its name, whatever the case.
    pub(super) name: Option<&'a str>,
    /// Whether software serves without having been named.
    pub(super) software: bool,
}

/// What a caller's word for an adapter means.
enum Word<'a> {
    Number(usize),
    Name(&'a str),
}

impl<'a> Word<'a> {
    /// One or two digits are a number; more of them are a part of many a name.
    fn new(word: &'a str) -> Self {
        match word.parse() {
            Ok(number) if word.len() <= 2 => Self::Number(number),
            _ => Self::Name(word),
        }
    }

    /// Why an adapter is meant, if it is.
    fn meets(&self, adapter: &Adapter) -> Option<String> {
        match *self {
            Self::Number(number) => {
                (adapter.index == number).then(|| format!("it is adapter {number}"))
            }
            Self::Name(name) => {
                let word = name.to_lowercase();
                let pci = adapter.pci.as_ref().map(|pci| pci.to_lowercase());
                // Tools write more or fewer digits of the domain, or none.
                let place = |pci: &String| {
                    word.contains(':') && (pci.ends_with(&word) || word.ends_with(&**pci))
                };
                match pci.filter(place) {
                    Some(_) => Some(format!("it is at PCI {name}")),
                    None => (adapter.name.to_lowercase().contains(&word))
                        .then(|| format!("its name contains {name:?}")),
                }
            }
        }
    }

    fn unmet(&self) -> String {
        match self {
            Self::Number(number) => format!("there is no adapter {number}"),
            Self::Name(name) => format!("no adapter's name contains {name:?}"),
        }
    }
}

impl Choice<'_> {
    /// Chooses: what is meant, else the best kind; of several, the first. `nothing` says why there is none at all.
    pub(super) fn among(&self, found: Vec<Adapter>, nothing: impl Fn() -> String) -> Adapters {
        if found.is_empty() {
            return Adapters {
                found,
                chosen: None,
                why: format!("there is no adapter: {}", nothing()),
            };
        }
        let word = self.name.map(Word::new);
        let meets = |adapter: &Adapter| match &word {
            Some(word) => word.meets(adapter),
            None => (self.software || adapter.kind != AdapterKind::Software)
                .then(|| format!("the best that is there: {}", adapter.kind)),
        };
        let met: Vec<_> = found
            .iter()
            .filter_map(|adapter| Some((adapter, meets(adapter)?)))
            .collect();
        let best = met.iter().min_by_key(|(adapter, _)| adapter.kind);
        let chosen = best.map(|(adapter, _)| adapter.index);
        let why = match best {
            Some((best, why)) => {
                let as_good = met.iter().map(|(adapter, _)| adapter);
                let as_good: Vec<_> = as_good
                    .filter(|adapter| adapter.kind == best.kind && adapter.index != best.index)
                    .map(|adapter| adapter.index.to_string())
                    .collect();
                match as_good.is_empty() {
                    true => why.clone(),
                    false => format!(
                        "{why}, the first of several (numbers tell them apart: {})",
                        as_good.join(", ")
                    ),
                }
            }
            None => {
                let list = found
                    .iter()
                    .map(|adapter| format!("{} {:?}", adapter.index, adapter.name));
                let list = list.collect::<Vec<_>>().join(", ");
                match &word {
                    Some(word) => format!("{}; there is {list}", word.unmet()),
                    None => format!(
                        "there is only software, which is slower than the CPU engine and serves when it is named: {list}"
                    ),
                }
            }
        };
        Adapters { found, chosen, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(name: &str, kind: AdapterKind) -> Adapter {
        Adapter {
            index: 0,
            name: name.to_owned(),
            pci: None,
            kind,
            backend: "vulkan".to_owned(),
            driver: String::new(),
            max_binding_bytes: 1,
            max_buffer_bytes: 1,
        }
    }

    fn choose(name: Option<&str>, software: bool, found: &[Adapter]) -> Adapters {
        let mut found = found.to_vec();
        for (index, adapter) in found.iter_mut().enumerate() {
            adapter.index = index;
        }
        Choice { name, software }.among(found, || "no driver".to_owned())
    }

    #[test]
    fn the_best_kind_serves_and_software_only_when_named_or_allowed() {
        let all = [
            adapter("llvmpipe (LLVM 15)", AdapterKind::Software),
            adapter("Iris", AdapterKind::Integrated),
            adapter("H200", AdapterKind::Discrete),
        ];
        assert_eq!(choose(None, false, &all).chosen, Some(2));
        assert_eq!(choose(None, false, &all[..2]).chosen, Some(1));
        assert_eq!(choose(None, false, &all[..1]).chosen, None);
        assert!(choose(None, false, &all[..1]).why.contains("only software"));
        assert_eq!(choose(None, true, &all[..1]).chosen, Some(0));
        assert_eq!(choose(Some("LLVM"), false, &all).chosen, Some(0));
        let none = choose(Some("Radeon"), false, &all);
        assert_eq!(none.chosen, None);
        assert!(
            none.why.contains("\"Radeon\"") && none.why.contains("\"H200\""),
            "{}",
            none.why
        );
        let none = choose(None, true, &[]);
        assert!(none.why.contains("no driver"), "{}", none.why);
    }

    #[test]
    fn cards_of_one_kind_are_told_apart() {
        let at = |pci: &str| Adapter {
            pci: Some(pci.to_owned()),
            ..adapter("NVIDIA H200", AdapterKind::Discrete)
        };
        let all = [
            adapter("llvmpipe (LLVM 15)", AdapterKind::Software),
            at("0000:1b:00.0"),
            at("0000:C3:00.0"),
        ];
        for (word, position) in [
            ("0", 0),
            ("1", 1),
            ("2", 2),
            ("h200", 1),
            // More digits than a number has.
            ("200", 1),
            ("0000:1b:00.0", 1),
            ("0000:c3:00.0", 2),
            // As `lspci` and `nvidia-smi` write it.
            ("c3:00.0", 2),
            ("00000000:C3:00.0", 2),
        ] {
            let chosen = choose(Some(word), false, &all);
            assert_eq!(chosen.chosen, Some(position), "{word}: {}", chosen.why);
            let several = chosen.why.contains("numbers tell them apart: 2)");
            assert_eq!(several, word.ends_with("200"), "{word}: {}", chosen.why);
        }
        for word in ["3", "15", "99", "0000:1c:00.0", ":"] {
            let none = choose(Some(word), true, &all);
            assert_eq!(none.chosen, None, "{word}: {}", none.why);
            assert!(
                none.why.contains("2 \"NVIDIA H200\""),
                "{word}: {}",
                none.why
            );
        }
        let none = choose(Some("3"), true, &all);
        assert!(
            none.why.starts_with("there is no adapter 3; "),
            "{}",
            none.why
        );
        let best = choose(None, false, &all);
        assert_eq!(best.chosen, Some(1));
        assert!(best.why.contains("tell them apart: 2)"), "{}", best.why);
    }
}
