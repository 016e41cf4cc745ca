//! Finds the known name that somebody may have meant.

/// Returns `: did you mean ...?` for the closest known name, or a list of all when none is close and they are few.
pub(crate) fn hint<'n>(written: &str, known: impl Iterator<Item = &'n str> + Clone) -> String {
    // Two letters that changed places count as two; in a short name that would be half of it.
    let letters = written.chars().count();
    let allowed = if letters < 4 { 1 } else { (letters / 3).max(2) };
    let closest = known.clone().map(|name| (distance(written, name), name)).min();
    match closest {
        Some((found, name)) if found <= allowed => format!("did you mean `{name}`?"),
        _ => {
            let all: Vec<_> = known.map(|name| format!("`{name}`")).collect();
            match all.as_slice() {
                [] => "none is defined".to_owned(),
                names if names.len() <= MAX_LISTED => format!("known are {}", names.join(", ")),
                _ => "see `docs/configuration.md` for the known ones".to_owned(),
            }
        }
    }
}

/// Counts the characters to insert, remove or replace (Levenshtein), ignoring case and the kind of separator.
fn distance(a: &str, b: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        text.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
    };
    let (a, b) = (letters(a), letters(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.iter().zip(row.iter().skip(1)) {
            let replaced = diagonal + usize::from(from != to);
            left = replaced.min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// More names than this are looked up in the documentation.
const MAX_LISTED: usize = 12;
