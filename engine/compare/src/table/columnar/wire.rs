//! Just enough of Thrift's compact form to know how deep and how large something says to be, before the library takes it: the library goes
//! as deep as a schema, and unpacks as much as a page announces.

/// Types of values.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

/// Deepest nesting of what is passed over.
const DEPTH: usize = 32;

/// What a page says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageHeader {
    /// Bytes of this header.
    pub(super) length: u64,
    /// Bytes of the page when it is unpacked.
    pub(super) unpacked: u64,
    /// Bytes of the page as it is stored.
    pub(super) packed: u64,
    /// Bytes before what is packed.
    pub(super) levels: u64,
}

/// The header of a page at the start of `bytes`; `None` if there is none, or if it is longer.
pub(super) fn page_header(bytes: &[u8]) -> Option<PageHeader> {
    let mut wire = Wire { rest: bytes };
    let (mut unpacked, mut packed, mut levels) = (None, None, 0_u64);
    wire.fields(DEPTH, &mut |id, kind, wire| match (id, kind) {
        (2, I32) => {
            unpacked = Some(wire.length()?);
            Some(true)
        }
        (3, I32) => {
            packed = Some(wire.length()?);
            Some(true)
        }
        // A second number in another form would count for the library.
        (2 | 3, _) => None,
        (8, STRUCT) => {
            levels = wire.levels()?;
            Some(true)
        }
        _ => Some(false),
    })?;
    let length = (bytes.len() - wire.rest.len()) as u64;
    Some(PageHeader { length, unpacked: unpacked?, packed: packed?, levels })
}

/// How deep the schema in a footer is nested; `None` if the footer is broken.
pub(super) fn schema_depth(footer: &[u8]) -> Option<usize> {
    let mut deepest = 0;
    Wire { rest: footer }.fields(DEPTH, &mut |id, kind, wire| match (id, kind) {
        (2, LIST) => {
            deepest = deepest.max(wire.depth_of_list()?);
            Some(true)
        }
        (2, _) => None,
        _ => Some(false),
    })?;
    Some(deepest)
}

/// Bytes that are left to read. Everything returns `None` where they are broken or end.
struct Wire<'b> {
    rest: &'b [u8],
}

/// Looks at a field by its number and type: whether it read the value.
type See<'s> = dyn FnMut(i16, u8, &mut Wire<'_>) -> Option<bool> + 's;

impl Wire<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn pass(&mut self, bytes: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A number that counts something.
    fn length(&mut self) -> Option<u64> {
        u64::try_from(self.signed()?).ok()
    }

    /// The number of values in a list, and their type.
    fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
        Some((count, head & 15))
    }

    /// Reads a struct to its end: `see` takes the fields that it knows, the others are passed over.
    fn fields(&mut self, depth: usize, see: &mut See<'_>) -> Option<()> {
        let mut id = 0_i16;
        loop {
            let head = self.byte()?;
            let (step, kind) = (head >> 4, head & 15);
            if kind == 0 {
                return Some(());
            }
            id = if step == 0 { i16::try_from(self.signed()?).ok()? } else { id.checked_add(i16::from(step))? };
            if !see(id, kind, self)? && kind != TRUE && kind != FALSE {
                self.skip(kind, depth)?;
            }
        }
    }

    /// Passes over a value that is not a field's truth value: those are in the head of the field.
    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            TRUE | FALSE | BYTE => self.pass(1),
            I16 | I32 | I64 => {
                self.number()?;
                Some(())
            }
            DOUBLE => self.pass(8),
            BINARY => {
                let length = self.number()?;
                self.pass(length)
            }
            LIST | SET => {
                let (count, kind) = self.list()?;
                (0..count).try_for_each(|_| self.skip(kind, depth))
            }
            MAP => {
                let count = self.number()?;
                let kinds = if count == 0 { 0 } else { self.byte()? };
                (0..count).try_for_each(|_| {
                    self.skip(kinds >> 4, depth)?;
                    self.skip(kinds & 15, depth)
                })
            }
            STRUCT => self.fields(depth, &mut |_, _, _| Some(false)),
            _ => None,
        }
    }

    /// The header of a page in the second form: how long its levels are, which are not packed.
    fn levels(&mut self) -> Option<u64> {
        let mut levels = 0_u64;
        self.fields(DEPTH, &mut |id, kind, wire| {
            let is_length = matches!((id, kind), (5 | 6, I32));
            if is_length {
                levels = levels.checked_add(wire.length()?)?;
            }
            Some(is_length)
        })?;
        Some(levels)
    }

    /// The elements of a schema, each before its children: how deep they are nested.
    fn depth_of_list(&mut self) -> Option<usize> {
        let (count, kind) = self.list()?;
        // How many children are still to come, from the root on.
        let (mut open, mut deepest) = (Vec::<u64>::new(), 0);
        for _ in 0..count {
            if kind != STRUCT {
                return None;
            }
            let mut children = 0;
            self.fields(DEPTH, &mut |id, kind, wire| match (id, kind) {
                (5, I32) => {
                    children = wire.length()?;
                    Some(true)
                }
                (5, _) => None,
                _ => Some(false),
            })?;
            while open.last() == Some(&0) {
                open.pop();
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            if children > 0 {
                open.push(children);
            }
            deepest = deepest.max(open.len());
        }
        Some(deepest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A schema of groups, each in the one before, as a footer has it.
    fn nested(depth: u8) -> Vec<u8> {
        let mut bytes = vec![0x15, 0x02, 0x19, 0xfc, depth];
        for _ in 0..depth {
            // The name `a` in field 4, one child in field 5.
            bytes.extend([0x48, 1, b'a', 0x15, 2, 0]);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn the_depth_of_a_schema_is_known_without_going_down() {
        assert_eq!(schema_depth(&nested(3)), Some(3));
        assert_eq!(schema_depth(&nested(100)), Some(100));
        assert_eq!(schema_depth(&nested(3)[..12]), None);
        // A list that would be longer than everything.
        assert_eq!(schema_depth(&[0x15, 2, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f]), None);
    }

    #[test]
    fn a_page_says_how_large_it_is_when_unpacked() {
        // A dictionary page: 300 bytes from 7 packed ones, with a struct and the end.
        let bytes = [0x15, 0x04, 0x15, 0xd8, 0x04, 0x15, 0x0e, 0x4c, 0x15, 0x02, 0x00, 0x00, 0xaa];
        let header = PageHeader { length: 12, unpacked: 300, packed: 7, levels: 0 };
        assert_eq!(page_header(&bytes), Some(header));
        assert_eq!(page_header(&bytes[..9]), None);
        assert_eq!(page_header(&[0x15, 0x04, 0x15, 0x01, 0x00]), None, "less than no bytes");
    }
}
