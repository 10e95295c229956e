//! Typed metadata values.

/// The value of a metadata key.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // The types' own names say it.
pub enum GgufValue {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    Array(GgufArray),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// An array of one element type.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum GgufArray {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    String(Vec<String>),
    Array(Vec<GgufArray>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

impl GgufValue {
    /// A whole number that is not negative, whatever its width.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            GgufValue::U8(x) => Some((*x).into()),
            GgufValue::U16(x) => Some((*x).into()),
            GgufValue::U32(x) => Some((*x).into()),
            GgufValue::U64(x) => Some(*x),
            GgufValue::I8(x) => u64::try_from(*x).ok(),
            GgufValue::I16(x) => u64::try_from(*x).ok(),
            GgufValue::I32(x) => u64::try_from(*x).ok(),
            GgufValue::I64(x) => u64::try_from(*x).ok(),
            _ => None,
        }
    }

    /// A floating point number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            GgufValue::F32(x) => Some((*x).into()),
            GgufValue::F64(x) => Some(*x),
            _ => None,
        }
    }

    /// A truth value.
    pub fn as_bool(&self) -> Option<bool> {
        if let GgufValue::Bool(x) = self { Some(*x) } else { None }
    }

    /// A text.
    pub fn as_str(&self) -> Option<&str> {
        if let GgufValue::String(x) = self { Some(x) } else { None }
    }

    /// An array of texts.
    pub fn as_strings(&self) -> Option<&[String]> {
        if let GgufValue::Array(GgufArray::String(x)) = self { Some(x) } else { None }
    }

    /// An array of f32.
    pub fn as_f32s(&self) -> Option<&[f32]> {
        if let GgufValue::Array(GgufArray::F32(x)) = self { Some(x) } else { None }
    }

    /// An array of whole numbers that are not negative, whatever their width.
    pub fn as_u64s(&self) -> Option<Vec<u64>> {
        fn all<T: Copy + TryInto<u64>>(values: &[T]) -> Option<Vec<u64>> {
            values.iter().map(|x| (*x).try_into().ok()).collect()
        }
        let GgufValue::Array(array) = self else { return None };
        match array {
            GgufArray::U8(x) => all(x),
            GgufArray::I8(x) => all(x),
            GgufArray::U16(x) => all(x),
            GgufArray::I16(x) => all(x),
            GgufArray::U32(x) => all(x),
            GgufArray::I32(x) => all(x),
            GgufArray::U64(x) => all(x),
            GgufArray::I64(x) => all(x),
            _ => None,
        }
    }

    /// Type and, for small values, content, for messages.
    pub fn describe(&self) -> String {
        match self {
            GgufValue::Array(array) => format!("an array ({} elements)", array.len()),
            GgufValue::String(text) if text.len() > 60 => format!("a text of {} bytes", text.len()),
            other => format!("{other:?}"),
        }
    }
}

impl GgufArray {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            GgufArray::U8(x) => x.len(),
            GgufArray::I8(x) => x.len(),
            GgufArray::U16(x) => x.len(),
            GgufArray::I16(x) => x.len(),
            GgufArray::U32(x) => x.len(),
            GgufArray::I32(x) => x.len(),
            GgufArray::F32(x) => x.len(),
            GgufArray::Bool(x) => x.len(),
            GgufArray::String(x) => x.len(),
            GgufArray::Array(x) => x.len(),
            GgufArray::U64(x) => x.len(),
            GgufArray::I64(x) => x.len(),
            GgufArray::F64(x) => x.len(),
        }
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
