//! A stream of events as one list of JSON: how Google streams to those who ask for no events.

use bytes::{Bytes, BytesMut};

/// Writes the data of events as the items of a list, each as soon as it is whole.
#[derive(Debug, Default)]
pub(crate) struct JsonList {
    /// The line that is not whole yet.
    line: BytesMut,
    /// The data of the event that is not whole yet.
    data: BytesMut,
    has_items: bool,
}

impl JsonList {
    /// What a silent connection is kept alive with: space between items.
    pub(crate) const SPACE: &[u8] = b"\n";

    /// Takes events, cut anywhere.
    pub(crate) fn write(&mut self, events: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(events.len());
        let mut rest = events;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            if self.line.is_empty() {
                self.read(line, &mut out);
            } else {
                self.line.extend_from_slice(line);
                let line = self.line.split();
                self.read(&line, &mut out);
            }
        }
        self.line.extend_from_slice(rest);
        out.freeze()
    }

    /// The end of the list.
    pub(crate) fn end(&mut self) -> Bytes {
        let mut out = BytesMut::new();
        self.item(&mut out);
        out.extend_from_slice(if self.has_items { b"]" } else { b"[]" });
        out.freeze()
    }

    fn read(&mut self, line: &[u8], out: &mut BytesMut) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return self.item(out);
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            self.data.extend_from_slice(data.trim_ascii_start());
            self.data.extend_from_slice(b"\n");
        }
    }

    fn item(&mut self, out: &mut BytesMut) {
        let data = self.data.split();
        let data = data.trim_ascii();
        if data.is_empty() {
            return;
        }
        let before: &[u8] = match std::mem::replace(&mut self.has_items, true) {
            true => b",\r\n",
            false => b"[",
        };
        out.extend_from_slice(before);
        out.extend_from_slice(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pieces: &[&[u8]]) -> String {
        let mut list = JsonList::default();
        let mut out: Vec<_> = pieces.iter().map(|piece| list.write(piece)).collect();
        out.push(list.end());
        String::from_utf8(out.concat()).expect("is text")
    }

    #[test]
    fn events_are_items_wherever_they_are_cut() {
        let events = b"data: {\"a\":\r\ndata:1}\r\n\r\n: comment\n\n\nevent: x\ndata: {\"b\":2}\n\ndata: {\"c\":3}";
        let events = [&events[..], b"\n"].concat();
        let whole = list(&[&events]);
        assert_eq!(whole, "[{\"a\":\n1},\r\n{\"b\":2},\r\n{\"c\":3}]");
        for cut in 0..events.len() {
            let (head, tail) = events.split_at(cut);
            assert_eq!(list(&[head, tail]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn each_item_comes_as_soon_as_it_is_whole() {
        let mut list = JsonList::default();
        assert_eq!(list.write(b"data: 1\n\ndata: 2\n"), "[1");
        assert_eq!(list.write(b"\n"), ",\r\n2");
        assert_eq!(list.end(), "]");
    }

    #[test]
    fn no_events_are_an_empty_list() {
        assert_eq!(list(&[]), "[]");
        assert_eq!(list(&[b": comment\n\n"]), "[]");
    }
}
