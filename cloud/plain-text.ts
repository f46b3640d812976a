/** Amounts and tables for a person who reads them in a terminal window. Pure. */
import { CURRENCY_DIGITS, type Currency, formatAmount } from '../device/protocol/money.js'

const isCurrency = (text: string): text is Currency => Object.hasOwn(CURRENCY_DIGITS, text)

/** 'THB 1,500.00', 'THB -25.00'; minor units of a currency that is none of ours stay what they are. */
export function moneyText(minor: number, currency: string): string {
  if (!isCurrency(currency)) return `${currency} ${minor} (minor units)`
  const text = formatAmount({ minor: Math.abs(minor), currency })
  return minor < 0 ? text.replace(' ', ' -') : text
}

/** A row of cells, or a line that belongs to the row above it. */
export type Row = readonly string[] | string

/** Columns as wide as their widest cell, two spaces apart; those in `right` stand against their right edge. */
export function table(rows: readonly Row[], right: readonly number[] = []): string {
  const cells = rows.filter((row) => typeof row !== 'string')
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const pad = (cell: string, column: number): string =>
    right.includes(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)
  return rows.map((row) => (typeof row === 'string' ? row : row.map(pad).join('  ').trimEnd())).join('\n')
}

/** '1 line', '2 lines' */
export const count = (number: number, one: string, many = `${one}s`): string => `${number} ${number === 1 ? one : many}`
