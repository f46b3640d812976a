/**
 * What the doctor says, for people and for programs: findings in, text out. Pure.
 */
import type { Finding, Status } from '../drivers/finding.js'

/** Raised whenever a program that reads `--json` would have to change. */
const REPORT_VERSION = 1

const CHECK_WIDTH = 16
const MARGIN = ' '.repeat('skipped  '.length + CHECK_WIDTH + 1)

/** One line, and one more with what to do. */
export function findingLines(finding: Finding): string {
  const line = `${finding.status.padEnd('skipped'.length)}  ${finding.check.padEnd(CHECK_WIDTH)} ${oneLine(finding.says)}\n`
  return 'fix' in finding ? `${line}${MARGIN}-> ${oneLine(finding.fix)}\n` : line
}

/** Whatever devices call themselves, or errors contain: a finding is one line. */
const oneLine = (text: string): string => text.replace(/[\p{Cc}\s]+/gu, ' ').trim()

export type Counts = Readonly<Record<Status, number>>

export function countsOf(findings: readonly Finding[]): Counts {
  const of = (status: Status): number => findings.filter((finding) => finding.status === status).length
  return { good: of('good'), bad: of('bad'), unsure: of('unsure'), skipped: of('skipped') }
}

export const summaryLine = ({ good, bad, unsure, skipped }: Counts): string => `${good} good, ${bad} bad, ${unsure} unsure, ${skipped} skipped\n`

export interface Examined {
  readonly terminal: string
  readonly software: string
  /** `auto` asked nothing and moved nothing. */
  readonly mode: 'auto' | 'asking'
}

/** One object; `fix` is null where there is nothing to do. */
export function reportJson({ terminal, software, mode }: Examined, findings: readonly Finding[]): string {
  const told = findings.map((finding) => ({ ...finding, fix: 'fix' in finding ? finding.fix : null }))
  return `${JSON.stringify({ version: REPORT_VERSION, terminal, software, mode, findings: told, counts: countsOf(findings) }, undefined, 2)}\n`
}
