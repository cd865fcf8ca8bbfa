//! The commands that the documents tell a reader to give: blocks fenced as `sh`.

use super::drift::root;

/// One block.
pub struct Block {
    /// Which document, and the line of its fence.
    pub place: String,
    /// Its lines.
    pub text: String,
    /// Why it is not run, if a comment before it says so.
    pub not_run: Option<String>,
}

/// What stands on the line before a block that is not run.
const MARKER: &str = "<!-- not run: ";

/// The documents with their blocks, in the order of their names.
pub fn of_all_documents() -> Vec<(String, Vec<Block>)> {
    let mut paths = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(stem) = name.strip_suffix(".md") {
            paths.push(format!("docs/{stem}.md"));
        }
    }
    paths.sort();
    let read = |path: String| {
        let blocks = of(&path, &std::fs::read_to_string(root().join(&path)).unwrap());
        (path, blocks)
    };
    paths.into_iter().map(read).collect()
}

/// The blocks of one document. A fence with another name of a shell, and a marker without a block, are mistakes.
pub fn of(path: &str, text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut fence: Option<bool> = None;
    let mut marker: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        let place = format!("{path}:{}", index + 1);
        match (line.trim_start().strip_prefix("```"), fence) {
            (Some(_), Some(_)) => fence = None,
            (Some(name), None) => {
                assert!(!["bash", "shell", "console"].contains(&name), "{place}: fence it as sh or text");
                fence = Some(name == "sh");
                if name == "sh" {
                    blocks.push(Block { place, text: String::new(), not_run: marker.take() });
                }
            }
            (None, Some(true)) => {
                if let Some(block) = blocks.last_mut() {
                    block.text += &[line, "\n"].concat();
                }
            }
            (None, Some(false)) => {}
            (None, None) => {
                assert!(marker.is_none(), "{place}: the marker above stands before no block fenced as sh");
                let reason = line.strip_prefix(MARKER).and_then(|rest| rest.strip_suffix(" -->"));
                assert!(reason != Some(""), "{place}: the marker says no reason");
                marker = reason.map(ToOwned::to_owned);
            }
        }
        assert!(
            fence != Some(false) || marker.is_none(),
            "{path}: a marker stands before no block fenced as sh"
        );
    }
    assert!(fence.is_none(), "{path}: a block has no end");
    blocks
}
