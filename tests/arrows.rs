//! The direction of every arrow between the rooms of `src/`: a file imports only what lies below it.
//!
//! The rooms are listed from the roof to the ground. What a room is for, DESIGN.md says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the roof to the ground; those of one line do not see each other.
const ROOMS: [&[&str]; 25] = [
    &["regions", "saddles", "summits", "trial"],
    &["parts"],
    &["analyzer", "components"],
    &["schedule"],
    &["gpus"],
    &["options"],
    &["context"],
    &["cpu", "gpu", "gpu_absent"],
    &["run"],
    &["gather"],
    &["queue"],
    &["outputs", "columns"],
    &["engine"],
    &[
        "coordinates",
        "epochs",
        "findings",
        "maps",
        "posterior",
        "terrain",
    ],
    &["memory"],
    &["filter"],
    &["plan", "analysis"],
    &["masks", "summary"],
    &["seams"],
    &["tuning"],
    &["adapter", "choices", "element"],
    &["error", "reduce"],
    &["instruction_set", "mask_form", "vector"],
    &["driver"],
    &["bits", "expand", "locks", "names"],
];

/// One room of `src/` imports another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Arrow {
    from: String,
    to: String,
    /// File and line.
    place: String,
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All Rust files below a folder, with their paths relative to `src/`.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in folder.read_dir().expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(source()).expect("it lies below src");
            let name = name.display().to_string().replace('\\', "/");
            found.push((name, fs::read_to_string(&path).expect("it can be read")));
        }
    }
    found.sort();
    found
}

/// The room of a file: its first folder, or its stem.
fn room(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or(file);
    first.trim_end_matches(".rs")
}

/// The text without comments and without its unit tests, which may look anywhere.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let lines = text.lines().map(|line| {
        let line = line.split("//").next().unwrap_or("");
        format!("{line}\n")
    });
    lines.collect()
}

/// In which room `lib.rs` finds each name that it makes public.
fn public_names() -> BTreeMap<String, String> {
    let text = code(&fs::read_to_string(source().join("lib.rs")).expect("it can be read"));
    let mut names = BTreeMap::new();
    for export in text.split("pub use ").skip(1) {
        let export = export.split(';').next().unwrap_or("");
        let Some((room, list)) = export.split_once("::") else {
            continue;
        };
        let list = list.trim_matches(['{', '}', ' ', '\n']);
        for name in list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            names.insert(name.to_owned(), room.to_owned());
        }
    }
    names
}

/// What follows `crate::` in a text: the first segment of each path, braces opened.
fn imported(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let line = text[..at].matches('\n').count() + 1;
        let rest = &text[at + "crate::".len()..];
        let word = |text: &str| -> String {
            text.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        };
        let Some(group) = rest.strip_prefix('{') else {
            found.push((line, word(rest)));
            continue;
        };
        let (mut depth, mut start) = (0, true);
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    found.push((line, word(&group[i..])));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// The arrows of these files, given where public names come from.
fn arrows(files: &[(String, String)], public: &BTreeMap<String, String>) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for (file, text) in files.iter().filter(|(file, _)| file != "lib.rs") {
        let from = room(file);
        for (line, name) in imported(&code(text)) {
            let to = public.get(&name).unwrap_or(&name);
            if to != from {
                arrows.push(Arrow {
                    from: from.to_owned(),
                    to: to.clone(),
                    place: format!("src/{file}, line {line}"),
                });
            }
        }
    }
    arrows
}

fn height(room: &str) -> Option<usize> {
    ROOMS.iter().rev().position(|floor| floor.contains(&room))
}

/// What is wrong with the arrows, one sentence each.
fn complaints(arrows: &[Arrow]) -> Vec<String> {
    let wrong = arrows.iter().filter_map(|arrow| {
        let Arrow { from, to, place } = arrow;
        let Some(lower) = height(to) else {
            return Some(format!("{place}: {to} is no room of the list"));
        };
        let above = height(from).is_some_and(|upper| upper > lower);
        (!above)
            .then(|| format!("{place}: {from} may not import {to}, which does not lie below it"))
    });
    wrong.collect()
}

#[test]
fn every_arrow_points_down() {
    let arrows = arrows(&files(&source()), &public_names());
    assert!(arrows.len() > 60, "{} arrows were found", arrows.len());
    let wrong = complaints(&arrows);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_is_in_the_list_and_every_name_of_the_list_is_a_room() {
    let files = files(&source());
    let rooms: Vec<&str> = files.iter().map(|(file, _)| room(file)).collect();
    for name in rooms.iter().filter(|&&name| name != "lib") {
        assert!(height(name).is_some(), "{name} is no room of the list");
    }
    for name in ROOMS.iter().flat_map(|floor| floor.iter()) {
        assert!(rooms.contains(name), "{name} is no file or folder of src");
    }
}

/// One room alone names both engines.
#[test]
fn the_schedule_alone_names_both_engines() {
    let arrows = arrows(&files(&source()), &public_names());
    let names = |to: &str| -> Vec<&str> {
        let mut rooms: Vec<&str> = (arrows.iter())
            .filter(|arrow| arrow.to == to)
            .map(|arrow| arrow.from.as_str())
            .collect();
        rooms.dedup();
        rooms
    };
    assert_eq!(names("cpu"), ["schedule"]);
    assert_eq!(names("gpu"), ["context", "gpus", "schedule"]);
}

/// The test sees an arrow that points up, however it is written.
#[test]
fn a_planted_arrow_is_seen() {
    let public = BTreeMap::from([("analyze".to_owned(), "analyzer".to_owned())]);
    for planted in [
        "use crate::schedule::Crew;",
        "use crate::analyze;",
        "use crate::{element::Element, schedule::{Crew, Job}};",
        "fn f() -> crate::schedule::Crew<f64> { loop {} }",
        "use crate::cellar::Wine;",
    ] {
        let file = (
            "gpu/engine.rs".to_owned(),
            format!("//! A file.\n\n{planted}\n"),
        );
        let found = complaints(&arrows(&[file], &public));
        assert_eq!(found.len(), 1, "{planted}: {found:?}");
        assert!(
            found[0].starts_with("src/gpu/engine.rs, line 3"),
            "{found:?}"
        );
    }
    let allowed = (
        "run.rs".to_owned(),
        "use crate::{engine::Engine, queue::Queue};\n".to_owned(),
    );
    assert!(complaints(&arrows(&[allowed], &public)).is_empty());
}
