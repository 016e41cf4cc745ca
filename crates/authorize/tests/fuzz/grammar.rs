//! Makes up conditions: ones that mean something, and ones that are broken in small ways.

use crate::random::Random;

/// What a made-up expression is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Bool,
    Int,
    Text,
    Texts,
    Time,
    Duration,
    Dyn,
}

/// Makes up texts.
#[derive(Debug)]
pub(crate) struct Grammar<'k> {
    random: Random,
    kept: &'k [String],
    /// The variables of the macros around the place being written, with what they are.
    locals: Vec<(&'static str, Type)>,
}

impl<'k> Grammar<'k> {
    pub(crate) const fn new(random: Random, kept: &'k [String]) -> Self {
        Self { random, kept, locals: Vec::new() }
    }

    /// Makes up a text that is a condition, is nearly one, or is none.
    pub(crate) fn text(&mut self) -> String {
        let mut text = if self.random.below(3) == 0 { self.condition() } else { self.known() };
        for _ in 0..self.random.below(6) {
            self.damage(&mut text);
        }
        text
    }

    /// Makes up a condition that is well formed.
    pub(crate) fn condition(&mut self) -> String {
        let depth = 1 + self.random.below(6);
        self.write(Type::Bool, depth)
    }

    fn known(&mut self) -> String {
        let at = self.random.below(self.kept.len());
        self.kept[at].clone()
    }

    /// Changes a text in one place.
    fn damage(&mut self, text: &mut String) {
        let mut characters: Vec<char> = text.chars().collect();
        let from = self.random.below(characters.len() + 1);
        let to = from + self.random.below(characters.len() - from + 1);
        let piece: Vec<char> = match self.random.below(8) {
            0 => Vec::new(),
            1 => characters[from..to].repeat(1 + self.random.below(40)),
            2 => self.known().chars().collect(),
            3 => self.condition().chars().collect(),
            4 => char::from_u32(u32::try_from(self.random.below(0x3000)).unwrap_or(0)).into_iter().collect(),
            5 => self.random.pick(PIECES).repeat(1 + self.random.below(64)).chars().collect(),
            _ => self.random.pick(PIECES).chars().collect(),
        };
        let end = if self.random.below(2) == 0 { from } else { to };
        characters.splice(from..end, piece);
        characters.truncate(20_000);
        *text = characters.into_iter().collect();
    }

    /// Writes an expression of a type.
    fn write(&mut self, of: Type, depth: usize) -> String {
        let forms = match of {
            Type::Bool => BOOLS,
            Type::Int => INTS,
            Type::Text => TEXTS,
            Type::Texts => LISTS,
            Type::Time => TIMES,
            Type::Duration => DURATIONS,
            Type::Dyn => DYNS,
        };
        let locals: Vec<&'static str> = self.locals.iter().filter(|local| local.1 == of).map(|local| local.0).collect();
        if !locals.is_empty() && self.random.below(2) == 0 {
            return self.random.pick(&locals).to_owned();
        }
        // The first forms have nothing to fill in.
        let leaves = forms.iter().position(|form| form.contains('$')).unwrap_or(forms.len());
        let form = if depth == 0 { self.random.pick(&forms[..leaves]) } else { self.random.pick(forms) };
        self.fill(form, depth.saturating_sub(1))
    }

    /// Fills the places of a form: `$B` a bool, `$I` an int, and so on; `$V` names a variable for the rest of the form.
    fn fill(&mut self, form: &str, depth: usize) -> String {
        let mut out = String::new();
        let mut parts = form.split('$');
        out.push_str(parts.next().unwrap_or_default());
        let before = self.locals.len();
        for part in parts {
            let mut rest = part.chars();
            let filled = match rest.next() {
                Some('B') => self.write(Type::Bool, depth),
                Some('I') => self.write(Type::Int, depth),
                Some('S') => self.write(Type::Text, depth),
                Some('L') => self.write(Type::Texts, depth),
                Some('T') => self.write(Type::Time, depth),
                Some('D') => self.write(Type::Duration, depth),
                Some('X') => self.write(Type::Dyn, depth),
                _ => {
                    let name = self.random.pick(&["a", "b", "user", "x"]);
                    self.locals.push((name, Type::Text));
                    name.to_owned()
                }
            };
            out.push_str(&filled);
            out.push_str(rest.as_str());
        }
        self.locals.truncate(before);
        out
    }
}

const BOOLS: &[&str] = &[
    "true",
    "false",
    "user.authenticated",
    "user.machine",
    "request.tls.client_certificate.present",
    "user.email_verified",
    "($B && $B)",
    "($B || $B)",
    "!$B",
    "($B ? $B : $B)",
    "($B == $B)",
    "($I == $I)",
    "($I != $I)",
    "($I < $I)",
    "($I >= $I)",
    "($S == $S)",
    "($S != $S)",
    "($S > $S)",
    "($S in $L)",
    "($L == $L)",
    "($X == $X)",
    "($X < $X)",
    "($X in $X)",
    "($T < $T)",
    "($T == $T)",
    "($D > $D)",
    "$L.exists($V, $B)",
    "$L.all($V, $B)",
    "$L.exists_one($V, $B)",
    "$X.exists($V, $B)",
    "$S.contains($S)",
    "$S.startsWith($S)",
    "$S.endsWith($S)",
    "$S.matches($S)",
    "$S.matches(\"^[a-z]+\\\\w*$\")",
    "$S.glob($S)",
    "$S.inCIDR(\"10.0.0.0/8\")",
    "$S.inCIDR($S)",
    "$S.inNetwork(\"vpn\")",
    "isIP($S)",
    "ip($S).isLoopback()",
    "cidr($S).containsIP($S)",
    "ip.isCanonical($S)",
    "has(user.claims.level)",
    "has($X.a)",
    "bool($S)",
    "($S in request.headers)",
    "($S in user.claims)",
    "(type($X) == type($X))",
    "(request.method == \"GET\")",
    "(request.method in [\"GET\", \"POST\"])",
    "(user.claims.level == $I)",
    "(user.claims.level > 3)",
];
const INTS: &[&str] = &[
    "0",
    "1",
    "-1",
    "7",
    "64",
    "9223372036854775807",
    "-9223372036854775808",
    "request.time.getHours()",
    "size(user.groups)",
    "($I + $I)",
    "($I - $I)",
    "($I * $I)",
    "($I / $I)",
    "($I % $I)",
    "-($I)",
    "size($S)",
    "size($L)",
    "size($X)",
    "$S.indexOf($S)",
    "$S.lastIndexOf($S, $I)",
    "int($S)",
    "int($T)",
    "$T.getDayOfWeek(\"Europe/Berlin\")",
    "$D.getSeconds()",
    "($B ? $I : $I)",
    "ip($S).family()",
];
const TEXTS: &[&str] = &[
    "\"\"",
    "\"a\"",
    "\"GET\"",
    "\"ä€𝄞\"",
    "\"10.8.0.4\"",
    "\"%s %d\"",
    "\"(\"",
    "r\"\\d+\"",
    "user.email",
    "user.name",
    "request.method",
    "request.path",
    "request.ip",
    "request.host",
    "request.headers[\"x-role\"]",
    "request.headers.x",
    "user.groups[0]",
    "user.claims.name",
    "($S + $S)",
    "$S.replace($S, $S)",
    "$S.replace($S, $S, $I)",
    "$S.substring($I)",
    "$S.substring($I, $I)",
    "$S.charAt($I)",
    "$S.lowerAscii()",
    "$S.trim()",
    "$S.reverse()",
    "$L.join($S)",
    "$S.format([$S, $I, $X])",
    "\"%s|%.3f|%x\".format([$L, 0.5, $S])",
    "strings.quote($S)",
    "string($I)",
    "string($T)",
    "string($D)",
    "$L[$I]",
    "($B ? $S : $S)",
];
const LISTS: &[&str] = &[
    "[]",
    "[\"a\", \"b\"]",
    "user.groups",
    "request.query.q",
    "session.amr",
    "[$S]",
    "[$S, $S]",
    "($L + $L)",
    "$S.split($S)",
    "$S.split($S, $I)",
    "$L.map($V, $S)",
    "$L.map($V, $B, $S)",
    "$L.filter($V, $B)",
    "($B ? $L : $L)",
];
const TIMES: &[&str] = &[
    "request.time",
    "session.created",
    "timestamp(0)",
    "timestamp(\"9999-12-30T00:00:00Z\")",
    "timestamp($S)",
    "timestamp($I)",
    "($T + $D)",
    "($T - $D)",
];
const DURATIONS: &[&str] =
    &["duration(\"1h\")", "duration(\"-2540400h\")", "duration($S)", "($T - $T)", "($D + $D)", "($D - $D)"];
const DYNS: &[&str] = &[
    "user.claims",
    "user.claims.level",
    "user.claims.teams",
    "user.claims.deep",
    "null",
    "{}",
    "request.headers",
    "request.query",
    "$X.a",
    "$X[$I]",
    "$X[$S]",
    "{$S: $X, $S: $X}",
    "{$I: $S}",
    "[$X, $X]",
    "$X.map($V, $X)",
    "[$X].map(y, [y, y, y, y])",
    "dyn($S)",
    "dyn($I)",
    "dyn(0.5)",
    "dyn(b\"\\xff\")",
    "($X + $X)",
    "($B ? $X : $X)",
];
/// What texts are made of that are no conditions.
const PIECES: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "!",
    "-",
    "!!",
    "&&",
    "||",
    "?",
    ":",
    ",",
    ".",
    "==",
    " in ",
    "+",
    "%",
    "\"",
    "'",
    "\"\"\"",
    "\\",
    "r\"",
    "b'",
    "//",
    "\n",
    "\r",
    "\t",
    "\0",
    "`",
    "@",
    "#",
    "$",
    "0x",
    "1e999",
    "1u",
    ".5",
    "9999999999999999999",
    "null",
    "true",
    "for",
    "package",
    "has(",
    ".all(",
    ".exists(x, ",
    ".map(",
    "user",
    ".claims",
    "request.",
    "\u{feff}",
    "\u{2028}",
    "\u{202e}",
    "ä",
    "𝄞",
    "\\u{110000}",
    "\\777",
    "\\x",
    "a.b.c",
    "Foo{a: 1}",
    "[?a]",
    "a[?0]",
    "{?a: 1}",
];
