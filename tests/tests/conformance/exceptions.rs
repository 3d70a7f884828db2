//! What is known not to hold.

/// The lines of the file: `provider/operation/case: reason`. A `*` at the end of the first part
/// stands for anything.
pub(crate) struct Exceptions {
    all: Vec<(String, String)>,
}

impl Exceptions {
    /// # Panics
    ///
    /// If a line gives no reason.
    pub(crate) fn read(text: &str) -> Self {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let all = lines.map(|line| {
            let (what, reason) = line.split_once(": ").expect("an exception has a reason");
            (what.to_owned(), reason.to_owned())
        });
        Self { all: all.collect() }
    }

    pub(crate) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|(pattern, _)| &**pattern)
    }

    /// The exception that a case falls under.
    pub(crate) fn of(&self, name: &str) -> Option<&str> {
        let mut all = self.patterns();
        all.find(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *pattern,
        })
    }
}
