//! Which adapter serves.

use crate::{Adapter, AdapterKind, Adapters};

/// Which adapter a caller wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice<'a> {
    /// Part of its name, whatever the case.
    pub(super) name: Option<&'a str>,
    /// Whether software serves without having been named.
    pub(super) software: bool,
}

impl Choice<'_> {
    /// Chooses: what has the name, else the best kind. `nothing` says why there is none at all.
    pub(super) fn among(&self, found: Vec<Adapter>, nothing: impl Fn() -> String) -> Adapters {
        if found.is_empty() {
            return Adapters {
                found,
                chosen: None,
                why: format!("there is no adapter: {}", nothing()),
            };
        }
        let names = || {
            found
                .iter()
                .map(|adapter| format!("{:?}", adapter.name))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let matches = |adapter: &Adapter| match self.name {
            Some(name) => adapter.name.to_lowercase().contains(&name.to_lowercase()),
            None => self.software || adapter.kind != AdapterKind::Software,
        };
        let chosen = found
            .iter()
            .enumerate()
            .filter(|(_, adapter)| matches(adapter))
            .min_by_key(|(_, adapter)| adapter.kind)
            .map(|(position, _)| position);
        let why = match (chosen, self.name) {
            (Some(_), Some(name)) => format!("its name contains {name:?}"),
            (Some(position), None) => format!("the best that is there: {}", found[position].kind),
            (None, Some(name)) => {
                format!("no adapter's name contains {name:?}; there is {}", names())
            }
            (None, None) => format!(
                "there is only software, which is slower than the CPU engine and serves when it is named: {}",
                names()
            ),
        };
        Adapters { found, chosen, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(name: &str, kind: AdapterKind) -> Adapter {
        Adapter {
            name: name.to_owned(),
            kind,
            backend: "vulkan".to_owned(),
            driver: String::new(),
            max_binding_bytes: 1,
            max_buffer_bytes: 1,
        }
    }

    fn choose(name: Option<&str>, software: bool, found: &[Adapter]) -> Adapters {
        Choice { name, software }.among(found.to_vec(), || "no driver".to_owned())
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
}
