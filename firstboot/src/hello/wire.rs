//! Numbers and texts as bytes, big-endian; a text is its length in one or two bytes and then UTF-8.

/// Takes a body apart. Every method gives nothing if too little is left or the value is not one.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn short(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn long(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A list whose length stands in one byte and is at most `most`.
    pub fn list<T>(&mut self, most: usize, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = usize::from(self.byte()?);
        if count > most {
            return None;
        }
        (0..count).map(|_| item(self)).collect()
    }

    /// A text of at most `most` bytes without control characters: it is shown to people.
    pub fn text(&mut self, most: usize) -> Option<String> {
        let length = usize::from(self.short()?);
        if length > most {
            return None;
        }
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        (!text.chars().any(char::is_control)).then(|| text.to_owned())
    }

    /// Nothing may follow the last field.
    pub fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// Puts a body together.
#[derive(Default)]
pub(super) struct Writer(pub Vec<u8>);

impl Writer {
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn byte(&mut self, byte: u8) -> &mut Self {
        self.bytes(&[byte])
    }

    /// As many of `items` as `most` allows.
    pub fn list<T>(&mut self, most: usize, items: &[T], mut item: impl FnMut(&mut Self, &T)) -> &mut Self {
        let count = items.len().min(most);
        self.byte(u8::try_from(count).unwrap_or(u8::MAX));
        items.iter().take(count).for_each(|one| item(self, one));
        self
    }

    /// The first `most` bytes of a text, cut between two characters.
    pub fn text(&mut self, most: usize, text: &str) -> &mut Self {
        let end = (0..=text.len().min(most)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let part = &text.as_bytes()[..end];
        self.bytes(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.bytes(part)
    }
}
