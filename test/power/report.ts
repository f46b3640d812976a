/** What a program of this folder prints: violations as they are found, one table at the end, and exit code 1 for any. */

/**
 * An invariant by its short name: I money, R register, D display, P persistence, F a failing disk; B1 is broken by a
 * test that proves nothing.
 */
export type Invariant = 'I2' | 'I4' | 'I5' | 'I9' | 'I10' | 'R1' | 'D1' | 'P1' | 'P2' | 'P3' | 'F4' | 'B1'

export type Cells = Readonly<Record<string, string | number>>

export interface Report {
  row(what: string, cells: Cells): void
  /** A scenario that needs what this machine does not have. */
  notRun(what: string, because: string): void
  violation(invariant: Invariant, text: string): void
  /** Prints the table and sets the exit code. */
  end(): void
}

const VIOLATIONS_SHOWN = 20

export function createReport(title: string): Report {
  const rows: Row[] = []
  const startedMs = performance.now()
  let violations = 0
  let notRun = 0
  return {
    row(what, cells) {
      rows.push({ what, cells })
    },
    notRun(what, because) {
      notRun++
      rows.push({ what, cells: { result: 'not run' } })
      console.log(`${what}: not run, ${because}`)
    },
    violation(invariant, text) {
      violations++
      if (violations <= VIOLATIONS_SHOWN) console.log(`VIOLATION ${invariant}: ${text}`)
    },
    end() {
      const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1)
      console.log(`\n${table(title, rows)}`)
      console.log(`${violations} violations, ${notRun} not run, ${seconds} s`)
      process.exitCode = violations === 0 ? 0 : 1
    },
  }
}

interface Row { readonly what: string; readonly cells: Cells }

/** Words to the left, numbers to the right; a column for every cell that any row has. */
function table(title: string, rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap(({ cells }) => Object.keys(cells)))]
  const width = (texts: readonly string[]): number => Math.max(...texts.map(({ length }) => length))
  const first = width([title, ...rows.map(({ what }) => what)])
  const widths = columns.map((column) => width([column, ...rows.map(({ cells }) => String(cells[column] ?? ''))]))
  const line = (what: string, cell: (column: string) => string | number | undefined): string => {
    const cells = columns.map((column, at) => String(cell(column) ?? '').padStart(widths[at] ?? 0))
    return [what.padEnd(first), ...cells].join('  ').trimEnd()
  }
  return [line(title, (column) => column), ...rows.map(({ what, cells }) => line(what, (column) => cells[column]))].join('\n')
}

/** The value below which this part of them lies, as a whole number. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return Math.round(sorted[Math.min(Math.floor(part * sorted.length), sorted.length - 1)] ?? 0)
}
