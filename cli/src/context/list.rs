//! Prints lists and tables, for users and programs.

use super::Context;
use crate::error::{CliError, Result};
use crate::output::{Columns, Human, Lists, Out, Row, fitted};

impl Lists for Context {
    fn out(&self) -> &Out {
        &self.out
    }

    fn human(&self) -> Human {
        Self::human(self)
    }
}

impl Context {
    /// Prints a list. `rows` may be endless: only the shown rows are read, and one more to detect that there are more.
    pub(crate) fn list<R: Row>(&self, limit: Option<usize>, rows: impl IntoIterator<Item = Result<R>>) -> Result<()> {
        let mut rows = rows.into_iter();
        let shown = rows.by_ref().take(limit.unwrap_or(usize::MAX));
        if self.out().is_json() {
            return shown.into_iter().try_for_each(|row| self.out().json(&row?));
        }
        let human = self.human();
        let lines: Vec<Vec<String>> = shown.map(|row| Ok(row?.cells(&human))).collect::<Result<_, CliError>>()?;
        if lines.is_empty() {
            return Ok(());
        }
        let columns = Columns { header: R::HEADER, gives_up: R::GIVES_UP, shortens: R::SHORTENS };
        self.out().text(fitted(&columns, lines, self.out().columns()))?;
        if self.out().is_terminal() && rows.next().is_some() {
            self.out().line("…  more: -n 0")?;
        }
        Ok(())
    }

    /// Prints lines of text in columns, with headers if given. If they do not fit, the last column is wrapped.
    pub(crate) fn table(&self, header: &[&str], lines: Vec<Vec<String>>) -> Result<()> {
        self.columns(&Columns { header, ..Columns::default() }, lines)
    }

    /// Like [`Self::table`], with columns that can be dropped or cut.
    pub(crate) fn columns(&self, columns: &Columns<'_>, lines: Vec<Vec<String>>) -> Result<()> {
        self.out().text(fitted(columns, lines, self.out().columns()))
    }
}
