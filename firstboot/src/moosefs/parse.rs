//! Reads the configuration of `MooseFS` as its daemons do, so that two files which say the same are the same.

/// All that `text` says: each line without its comment and with single blanks. A setting is `KEY = VALUE` with blanks around the sign, because
/// 1.6.27 drops a file without them as a whole (docs/facts.md 18); one without them is therefore another line.
pub fn parse(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    words.filter(|line| !line.is_empty()).collect()
}

/// Key and value of a line with a setting.
pub fn setting(line: &str) -> Option<(&str, &str)> {
    line.split_once(" = ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_comments_are_nothing_and_words_are_something() {
        let one = parse("# mine\nA = 1\n/data/x -5MiB\n");
        assert_eq!(one, ["A = 1", "/data/x -5MiB"]);
        for (other, is_same) in [
            ("A  =  1\n\n  # why\n/data/x\t-5MiB", true),
            ("A=1\n/data/x -5MiB\n", false),
            ("A = 2\n/data/x -5MiB\n", false),
            ("A = 1\n/data/x\n", false),
            ("/data/x -5MiB\nA = 1\n", false),
        ] {
            assert_eq!(parse(other) == one, is_same, "{other}");
        }
        assert_eq!((setting("A = 1"), setting("/data/x -5MiB")), (Some(("A", "1")), None));
    }
}
