/** What is asked of a program whose disk failed, when its life is over. */
import { ERROR, FATAL, type Life } from './program.js'
import type { Report } from './report.js'
import type { Stage } from './scenes.js'

export interface Judge {
  /** Ended by itself: with an error, a sentence and a clean panel. Or it went on, which the auditor judges. */
  terminal(life: Life, stage: Stage, row: string, words: string): Promise<void>
  /**
   * Ended by itself: with an error and a sentence. Or it went on, because nothing was wrong, or only room was missing:
   * after any other error of the medium what it reads need not be what it wrote.
   */
  gateway(life: Life, stage: Stage, row: string, words: string): Promise<void>
  tell(): void
}

export function createJudge(report: Report): Judge {
  const tallies = new Map<string, { faults: number; stopped: number; wentOn: number }>()

  /** True when it had ended by itself, or could not end as it was asked to. */
  async function count(life: Life, row: string): Promise<boolean> {
    const tally = tallies.get(row) ?? { faults: 0, stopped: 0, wentOn: 0 }
    tallies.set(row, tally)
    tally.faults++
    const { code, signal } = await life.ended
    const stopped = code !== 0 && signal !== 'SIGTERM' // Ours, in the instant before it would have been heard.
    if (stopped) tally.stopped++
    else tally.wentOn++
    return stopped
  }

  return {
    async terminal(life, { terminal }, row, words) {
      if (!await count(life, row)) return
      const { code, signal } = await life.ended
      const said = life.records.some(({ level, msg }) => level >= FATAL && msg.startsWith('journal could not be'))
      if (signal !== null || !said) report.violation('F4', `it ended with ${signal ?? code} and did not say why: ${words}`)
      if (await terminal.look() !== undefined) report.violation('D1', `it ended and left its code on the panel: ${words}`)
    },
    async gateway(life, _stage, row, words) {
      if (!await count(life, row)) {
        const broken = life.records.find(({ fields }) => isBroken(fields['error']))
        if (broken !== undefined) report.violation('F4', `it goes on after "${messageOf(broken.fields['error'])}": ${words}`)
        return
      }
      const { code, signal, complaint } = await life.ended
      const said = complaint !== '' || life.records.some(({ level }) => level >= ERROR)
      if (signal !== null || !said) report.violation('F4', `it ended with ${signal ?? code} and did not say why: ${words}`)
    },
    tell() {
      for (const [row, { faults, stopped, wentOn }] of tallies) {
        report.row(row, { faults, 'stopped, and said why': stopped, 'went on': wentOn })
      }
    },
  }
}

const isBroken = (error: unknown): boolean =>
  error instanceof Object && 'code' in error && /^SQLITE_(?!FULL|BUSY)/.test(String(error.code))

const messageOf = (error: unknown): string => (error instanceof Object && 'message' in error ? String(error.message) : '')
