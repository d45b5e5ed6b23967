//! The flat table as Parquet: instants as `TIMESTAMP(NANOS, UTC)`, texts in dictionaries, zstd.

use std::{
    io::{self, Write},
    sync::Arc,
};

use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel},
    data_type::{BoolType, ByteArray, ByteArrayType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{Type as Schema, TypePtr},
};

use super::table::{COLUMNS, Column, Row, Type, Value};

/// Rows that are kept in memory and written as one group.
const GROUP: usize = 1 << 16;

/// Writes rows. They are readable only after [`Writer::finish`].
pub struct Writer<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Cells>,
    rows: usize,
}

/// A column of the group being gathered: values, and which rows have one (1) or none (0).
struct Cells {
    levels: Vec<i16>,
    values: Values,
}

enum Values {
    Text(Vec<ByteArray>),
    Int(Vec<i64>),
    Bool(Vec<bool>),
}

impl<W: Write + Send> Writer<W> {
    /// Writes to `w`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(w: W) -> io::Result<Self> {
        let level = ZstdLevel::try_new(3).map_err(error)?;
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
        let file = SerializedFileWriter::new(w, schema().map_err(error)?, Arc::new(properties))
            .map_err(error)?;
        Ok(Writer { file, columns: COLUMNS.iter().map(Cells::new).collect(), rows: 0 })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When a group is complete and cannot be written.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        for (cells, column) in self.columns.iter_mut().zip(COLUMNS) {
            cells.push(column.cell(row));
        }
        self.rows += 1;
        match self.rows < GROUP {
            true => Ok(()),
            false => self.group().map_err(error),
        }
    }

    /// Writes the rest, and what makes the file readable.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        if self.rows > 0 {
            self.group().map_err(error)?;
        }
        self.file.close().map_err(error)?;
        Ok(())
    }

    fn group(&mut self) -> Result<(), ParquetError> {
        self.rows = 0;
        let mut group = self.file.next_row_group()?;
        for cells in &mut self.columns {
            cells.write(&mut group)?;
        }
        group.close()?;
        Ok(())
    }
}

impl Cells {
    fn new(column: &Column) -> Self {
        let values = match column.kind {
            Type::Text => Values::Text(Vec::new()),
            Type::Int | Type::Time => Values::Int(Vec::new()),
            Type::Bool => Values::Bool(Vec::new()),
        };
        Cells { levels: Vec::new(), values }
    }

    /// A value of another type than the column's is none.
    fn push(&mut self, value: Value<'_>) {
        let has = match (&mut self.values, value) {
            (Values::Text(texts), Value::Text(text)) => {
                texts.push(ByteArray::from(text.into_owned().into_bytes()));
                true
            }
            (Values::Int(numbers), Value::Int(number) | Value::Time(number)) => {
                numbers.push(number);
                true
            }
            (Values::Bool(all), Value::Bool(yes)) => {
                all.push(yes);
                true
            }
            _ => false,
        };
        self.levels.push(i16::from(has));
    }

    fn write<W: Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        let Some(mut column) = group.next_column()? else { return Ok(()) };
        let levels = std::mem::take(&mut self.levels);
        match &mut self.values {
            Values::Text(texts) => {
                let texts = std::mem::take(texts);
                column.typed::<ByteArrayType>().write_batch(&texts, Some(&levels), None)?;
            }
            Values::Int(numbers) => {
                let numbers = std::mem::take(numbers);
                column.typed::<Int64Type>().write_batch(&numbers, Some(&levels), None)?;
            }
            Values::Bool(all) => {
                let all = std::mem::take(all);
                column.typed::<BoolType>().write_batch(&all, Some(&levels), None)?;
            }
        }
        column.close()
    }
}

/// How many rows a written file has, as it says itself; `None`: it is none.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn rows(file: Vec<u8>) -> Option<u64> {
    use parquet::file::reader::{FileReader as _, SerializedFileReader};

    let reader = SerializedFileReader::new(prost::bytes::Bytes::from(file)).ok()?;
    u64::try_from(reader.metadata().file_metadata().num_rows()).ok()
}

fn schema() -> Result<TypePtr, ParquetError> {
    let field = |column: &Column| {
        let (physical, logical) = match column.kind {
            Type::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Type::Int => (Physical::INT64, None),
            Type::Bool => (Physical::BOOLEAN, None),
            Type::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::NANOS))),
        };
        let field = Schema::primitive_type_builder(column.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical);
        Ok(Arc::new(field.build()?))
    };
    let fields = COLUMNS.iter().map(field).collect::<Result<Vec<_>, ParquetError>>()?;
    Ok(Arc::new(Schema::group_type_builder("events").with_fields(fields).build()?))
}

/// What was wrong with the output, where that was it.
fn error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(inner) => *inner,
            Err(inner) => io::Error::other(inner),
        },
        error => io::Error::other(error),
    }
}
