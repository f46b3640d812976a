import Database from 'better-sqlite3'
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openJournal } from '../../device/journal.js'
import type { Recorded } from '../../device/sale.js'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'journal-'))
  file = join(folder, 'journal.sqlite')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const presenting: Recorded = {
  phase: 'presenting',
  sale: { id: '01931e7c-0000-7000-8000-000000000001', nonce: '0'.repeat(32), amount: { minor: 2_500, currency: 'THB' }, method: 'alipayplus_mpm', askedBy: 'register' },
  offer: { charge: 'chrg_1', payload: 'https://order.example/1', counter: 7 },
}
const numbered = (count: number): Recorded => ({ ...presenting, offer: { ...presenting.offer, counter: count } })

/** Opens, does, closes: what one life of the terminal is to its journal. */
function life<T>(work: (journal: ReturnType<typeof openJournal>) => T): T {
  const journal = openJournal(file, 42)
  try {
    return work(journal)
  } finally {
    journal.close()
  }
}

describe('a journal', () => {
  test('begins idle, and gives back what was recorded last, also in the next life', () => {
    life((journal) => {
      expect(journal.last()).toEqual({ phase: 'idle' })
      expect(journal.damaged).toBeUndefined()
      journal.record({ phase: 'idle' }, 1)
      journal.record(presenting, 2)
      expect(journal.last()).toEqual(presenting)
    })
    life((journal) => expect(journal.last()).toEqual(presenting))
  })

  test('keeps nothing but what a sale is: every phase comes back as it went in', () => {
    const { sale, offer } = presenting
    const verdict = { ending: { outcome: 'paid', paidAt: '2026-01-01T00:00:00Z' }, charge: 'chrg_1' } as const
    for (const recorded of [
      { phase: 'idle' }, { phase: 'opening', sale }, presenting, { phase: 'resolving', sale, doubt: 'restarted', offer },
      { phase: 'resolving', sale, doubt: 'no answer' }, { phase: 'settled', sale, verdict, told: false }, { phase: 'settled', sale, verdict, told: true },
    ] as const satisfies readonly Recorded[]) {
      life((journal) => journal.record(recorded, 1))
      expect(life((journal) => journal.last())).toEqual(recorded)
    }
  })

  test('knows each boot by a larger number', () => {
    const epochs = [1, 2, 3, 4].map(() => life((journal) => journal.epoch))
    expect(epochs).toEqual([1, 2, 3, 4])
  })

  test('is on the medium when record returns: WAL, and every commit synced', () => {
    life((journal) => {
      journal.record(presenting, 1)
      const other = new Database(file, { readonly: true })
      expect(other.pragma('journal_mode', { simple: true })).toBe('wal')
      expect(other.prepare('SELECT count(*) FROM record').pluck().get()).toBe(1)
      other.close()
    })
    expect(readFileSync(new URL('../../device/journal.ts', import.meta.url), 'utf8')).toContain('synchronous = FULL')
  })

  test('does not grow for ever, however long one life lasts', () => {
    const db = life((journal) => {
      journal.record(presenting, 1)
      const handle = new Database(file)
      handle.prepare('UPDATE record SET seq = 1000000').run() // As if a million records had been written in this life.
      handle.exec(`WITH RECURSIVE n(i) AS (SELECT 980001 UNION ALL SELECT i + 1 FROM n WHERE i < 999999)
        INSERT INTO record (seq, at, record, sum) SELECT i, 0, 'old', 'old' FROM n`)
      journal.record(numbered(9), 2)
      expect(journal.last()).toEqual(numbered(9))
      return handle
    })
    expect(db.prepare('SELECT count(*) FROM record').pluck().get()).toBe(10_000)
    db.close()
  })
})

describe('a terminal that is killed', () => {
  test('loses nothing that its journal had acknowledged, twenty times over', async () => {
    let acknowledged = 0
    for (let kill = 0; kill < 20; kill++) {
      const lastPrinted = await killedWhileWriting(5 + 7 * (kill % 5))
      expect(lastPrinted).toBeGreaterThan(acknowledged)
      const last = life((journal) => {
        expect(journal.damaged).toBeUndefined()
        return journal.last()
      })
      if (last.phase !== 'presenting') throw new Error(`journal is ${last.phase}`)
      expect(last.offer.counter).toBeGreaterThanOrEqual(lastPrinted)
      expect(last.offer.counter).toBeLessThanOrEqual(lastPrinted + 1)
      acknowledged = lastPrinted
    }
    expect(life((journal) => journal.epoch)).toBe(41)
  })

  /** Resolves with the last number the writer printed before it was killed, `lines` lines after its first. */
  function killedWhileWriting(lines: number): Promise<number> {
    const writer = spawn(process.execPath, [
      join(import.meta.dirname, 'journal-writer.mjs'), join(import.meta.dirname, '../../dist/device/journal.js'), file,
    ], { stdio: ['ignore', 'pipe', 'pipe'] })
    let printed = ''
    let complaint = ''
    writer.stderr.on('data', (chunk: Buffer) => { complaint += chunk.toString() })
    writer.stdout.on('data', (chunk: Buffer) => {
      printed += chunk.toString()
      if (printed.split('\n').length > lines) writer.kill('SIGKILL')
    })
    return new Promise((resolve, reject) => {
      writer.once('close', () => {
        const numbers = printed.split('\n').slice(0, -1) // The last piece may be half a line.
        if (numbers.length === 0) reject(new Error(`the writer wrote nothing: ${complaint}`))
        else resolve(Number(numbers.at(-1)))
      })
    })
  }
})

describe('a damaged journal', () => {
  const filled = (): void => life((journal) => { for (let i = 1; i <= 80; i++) journal.record(numbered(i), i) })

  test.each<[string, () => void]>([
    ['is garbage', () => writeFileSync(file, Buffer.alloc(50_000, 'garbage'))],
    ['lost its first page', () => overwrite(0, 4_096)],
    ['lost its end', () => truncateSync(file, Math.floor(statSync(file).size / 2 / 4_096) * 4_096)],
    ['was cut off within a page', () => truncateSync(file, Math.floor(statSync(file).size / 2) + 100)],
    ['is zeroes in the middle', () => overwrite(4_096, statSync(file).size - 2 * 4_096)],
    ['has zeroes where the newest record stood', () => overwriteText('"counter":80')],
    ['has one bit of its newest record the other way', () => flipLastBitOf('"counter":80', '"counter":81')],
  ])('that %s is kept aside, reported, and a new one begun', (_, damage) => {
    filled()
    damage()
    const before = readFileSync(file)
    life((journal) => {
      expect(journal.damaged).toBe(`${file}.damaged-42`)
      expect(journal.last()).toEqual({ phase: 'idle' })
      journal.record(presenting, 1)
    })
    expect(readFileSync(`${file}.damaged-42`).equals(before)).toBe(true)
    life((journal) => {
      expect(journal.damaged).toBeUndefined()
      expect(journal.last()).toEqual(presenting)
    })
  })

  test('leaves no hand on the new one: its log is there, and stays', () => {
    filled()
    flipLastBitOf('"counter":80', '"counter":81')
    const journal = openJournal(file, 42)
    journal.record(presenting, 1)
    expect(readdirSync(folder)).toContain('journal.sqlite-wal')
    const reader = new Database(file, { readonly: true })
    expect(reader.prepare('SELECT count(*) FROM record').pluck().get()).toBe(1)
    reader.close()
    journal.close()
  })

  function overwrite(from: number, length: number): void {
    const bytes = readFileSync(file)
    bytes.fill(0, from, from + length)
    writeFileSync(file, bytes)
  }

  function overwriteText(text: string): void {
    const bytes = readFileSync(file)
    const at = bytes.indexOf(text)
    expect(at).toBeGreaterThan(0)
    bytes.fill(0, at, at + text.length)
    writeFileSync(file, bytes)
  }

  function flipLastBitOf(text: string, other: string): void {
    const bytes = readFileSync(file)
    const at = bytes.indexOf(text)
    expect(at).toBeGreaterThan(0)
    bytes.write(other, at)
    writeFileSync(file, bytes)
  }
})

describe('a journal that cannot be used is said to be so, with a code, and nothing is moved aside', () => {
  const refusal = (open: () => unknown): unknown => {
    try {
      open()
      return 'opened'
    } catch (error) {
      return error instanceof Error && 'code' in error ? error.code : error
    }
  }

  test('one of a newer program', () => {
    life((journal) => journal.record(presenting, 1))
    const db = new Database(file)
    db.pragma('user_version = 2')
    db.close()
    expect(refusal(() => openJournal(file, 42))).toBe('JOURNAL_TOO_NEW')
    expect(existsSync(`${file}.damaged-42`)).toBe(false)
  })

  test('one in a folder that is not there', () => {
    expect(refusal(() => openJournal(join(folder, 'gone', 'journal.sqlite'), 42))).toBe('JOURNAL_NO_FOLDER')
  })

  test('one that may only be read', async () => {
    life((journal) => journal.record(presenting, 1))
    chmodSync(folder, 0o755)
    chmodSync(file, 0o444)
    // Root may write anything, so somebody else tries.
    const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
    const script = `import(process.argv[1]).then(({ openJournal }) => openJournal(process.argv[2], 42)).then(() => console.log('opened'), (error) => console.log(error.code))`
    const said = await new Promise<string>((resolve) => {
      const child = spawn(process.execPath, ['-e', script, join(import.meta.dirname, '../../dist/device/journal.js'), file], { ...nobody, cwd: '/' })
      let text = ''
      child.stdout.on('data', (chunk: Buffer) => { text += chunk.toString() })
      child.stderr.on('data', (chunk: Buffer) => { text += chunk.toString() })
      child.once('close', () => resolve(text.trim()))
    })
    expect(said).toMatch(/^SQLITE_(READONLY|CANTOPEN)/)
    expect(readdirSync(folder).filter((name) => name.includes('damaged'))).toEqual([])
  })
})
