//! The stand-ins' command line: words that are taken one by one.

use anyhow::Result;

/// What is left of the words.
#[derive(Clone, Debug)]
pub struct Args {
    /// The name of the program.
    pub program: String,
    /// Its words.
    pub words: Vec<String>,
}

impl Args {
    /// Takes a word that stands alone.
    pub fn flag(&mut self, name: &str) -> bool {
        let found = self.words.iter().position(|word| word == name);
        found.map(|index| self.words.remove(index)).is_some()
    }

    /// Takes an option and the word behind it.
    pub fn value(&mut self, name: &str) -> Option<String> {
        let index = self.words.iter().position(|word| word == name)?;
        self.words.remove(index);
        (index < self.words.len()).then(|| self.words.remove(index))
    }

    /// Takes the first word.
    pub fn next(&mut self) -> Option<String> {
        (!self.words.is_empty()).then(|| self.words.remove(0))
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<()> {
        anyhow::ensure!(self.words.is_empty(), "{}: unknown words {:?}", self.program, self.words);
        Ok(())
    }
}
