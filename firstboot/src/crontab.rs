//! Tables of cron in which lines of a person stand beside ours: ours are put right, and all others stay, byte for byte.

/// What a line of a table is to one that must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// It says the same.
    Same,
    /// It is for the same, and says something else: ours that was changed, or a person's own beside ours.
    Changed,
    /// It is none of it.
    Other,
}

/// The table as it should be, with each of the lines `wanted` in it, or nothing if it is that already.
///
/// Where one line says the same, only those that say it again go. Where none does, the first changed one is put right; where there is none
/// of these either, the line is added at the end. `judge` tells what a line is to the wanted one of that index.
pub fn corrected(text: &[u8], wanted: &[&str], judge: impl Fn(usize, &str) -> Likeness) -> Option<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    for (at, line) in wanted.iter().enumerate() {
        let likeness = |found: &Vec<u8>| match judge(at, &String::from_utf8_lossy(found)) {
            // Cron does not take a last line that has no end.
            Likeness::Same if !found.ends_with(b"\n") => Likeness::Changed,
            likeness => likeness,
        };
        let ended = format!("{line}\n").into_bytes();
        let place_of = |wanted| lines.iter().position(|found| likeness(found) == wanted);
        if let Some(place) = place_of(Likeness::Same) {
            let again = lines.split_off(place + 1);
            lines.extend(again.into_iter().filter(|found| likeness(found) != Likeness::Same));
        } else if let Some(place) = place_of(Likeness::Changed) {
            lines[place] = ended;
        } else {
            if let Some(last) = lines.last_mut().filter(|last| !last.ends_with(b"\n")) {
                last.push(b'\n');
            }
            lines.push(ended);
        }
    }
    let new = lines.concat();
    (new != text).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &[u8]) -> Option<Vec<u8>> {
        corrected(text, &["ours a"], |_, line| match line.trim_end() {
            "ours a" => Likeness::Same,
            line if line.starts_with("ours ") => Likeness::Changed,
            _ => Likeness::Other,
        })
    }

    #[test]
    fn lines_of_others_stay_byte_for_byte() {
        let others = b"# M\xfcller\r\n\nothers".as_slice();
        assert_eq!(of(others), Some([others, b"\nours a\n"].concat()));
        assert_eq!(of(&[b"ours a\n", others].concat()), None);
        assert_eq!(of(&[b"ours b\nours c\n", others].concat()), Some([b"ours a\nours c\n", others].concat()));
    }

    #[test]
    fn what_stands_twice_goes_and_a_line_without_an_end_gets_one() {
        assert_eq!(of(b"ours b\nours a\nours c\nours a\n").unwrap(), b"ours b\nours a\nours c\n");
        assert_eq!(of(b"others\nours a").unwrap(), b"others\nours a\n");
    }
}
