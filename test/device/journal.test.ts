import Database from 'better-sqlite3'
import { spawn } from 'node:child_process'
import fc from 'fast-check'
import { createHash } from 'node:crypto'
import { chmodSync, copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openJournal } from '../../device/journal.js'
import type { Recorded } from '../../device/sale.js'

/** Where a sync costs nothing, if there is such a place. */
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

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
  test('whose first pages were being made when power went is empty, not damaged', () => {
    const making = new Database(join(folder, 'making'))
    making.exec('PRAGMA cache_size = 1; CREATE TABLE old (x); BEGIN; CREATE TABLE record (x)')
    const put = making.prepare('INSERT INTO record VALUES (?)')
    for (let row = 0; row < 200; row++) put.run('x'.repeat(1_000)) // More than the cache holds: written before the end.
    for (const suffix of ['', '-journal']) copyFileSync(join(folder, `making${suffix}`), file + suffix)
    making.exec('ROLLBACK')
    making.close()
    expect(life((journal) => [journal.damaged, journal.forgot, journal.last()])).toEqual([undefined, true, { phase: 'idle' }])
  })

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
    const inMemory = mkdtempSync(join(MEMORY, 'journal-'))
    try {
      const journal = openJournal(join(inMemory, 'journal.sqlite'), 1)
      for (let i = 1; i <= 10_050; i++) journal.record(numbered(i), i)
      const reader = new Database(join(inMemory, 'journal.sqlite'), { readonly: true })
      expect(reader.prepare('SELECT count(*), min(seq), max(seq) FROM record').raw().get()).toEqual([10_000, 51, 10_050])
      reader.close()
      journal.close()
      const next = openJournal(join(inMemory, 'journal.sqlite'), 2)
      expect([next.damaged, next.last()]).toEqual([undefined, numbered(10_050)])
      next.close()
    } finally {
      rmSync(inMemory, { recursive: true, force: true })
    }
  })
})

describe('a second terminal', () => {
  test('on the same journal does not start, and says why; the first one goes on', () => {
    const first = openJournal(file, 1)
    expect(() => openJournal(file, 2)).toThrow(expect.objectContaining({
      code: 'JOURNAL_IN_USE', message: `the journal ${file} is in use: another terminal is running on it`,
    }))
    first.record(presenting, 3)
    const reader = new Database(file, { readonly: true })
    expect(reader.prepare('SELECT count(*) FROM record').pluck().get()).toBe(1)
    reader.close()
    first.close()
    expect(life((journal) => journal.last())).toEqual(presenting)
  })

  test('starts as soon as the first one was killed', async () => {
    const writer = spawn(process.execPath, [
      join(import.meta.dirname, 'journal-writer.mjs'), join(import.meta.dirname, '../../dist/device/journal.js'), file,
    ], { stdio: ['ignore', 'pipe', 'ignore'] })
    await new Promise((resolve) => writer.stdout.once('data', resolve))
    expect(() => openJournal(file, 2)).toThrow(expect.objectContaining({ code: 'JOURNAL_IN_USE' }))
    const dead = new Promise((resolve) => writer.once('exit', resolve))
    writer.kill('SIGKILL')
    await dead
    expect(life((journal) => [journal.damaged, journal.last().phase])).toEqual([undefined, 'presenting'])
  })

  test('is not mistaken for one by a lock that a dead one left, or a medium that damaged it', () => {
    for (const left of [Buffer.alloc(0), Buffer.alloc(5_000, 'garbage'), Buffer.alloc(512)]) {
      writeFileSync(`${file}.lock`, left)
      life((journal) => {
        expect(journal.damaged).toBeUndefined()
        expect(() => openJournal(file, 2)).toThrow(expect.objectContaining({ code: 'JOURNAL_IN_USE' }))
      })
    }
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

/** As a program would that writes another format: its hash, and the text. */
function rewriteMark(change: (mark: object) => object): void {
  const [line = ''] = readFileSync(`${file}.newest`, 'utf8').split('\n')
  const text = JSON.stringify(change(JSON.parse(line.slice(65)) as object))
  writeFileSync(`${file}.newest`, `${createHash('sha256').update(text).digest('hex')} ${text}\n`)
}

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
    ['is empty', () => truncateSync(file, 0)],
  ])('that %s is kept aside, reported, and a new one begun with the newest record', (_, damage) => {
    filled()
    damage()
    const before = readFileSync(file)
    life((journal) => {
      expect(journal.damaged).toBe(`${file}.damaged-42`)
      expect(journal.last()).toEqual(numbered(80))
    })
    expect(readFileSync(`${file}.damaged-42`).equals(before)).toBe(true)
    expect(existsSync(`${file}.damaged-42.newest`)).toBe(false) // It never left its place: power may go at any moment.
    life((journal) => {
      expect([journal.damaged, journal.last()]).toEqual([undefined, numbered(80)])
      journal.record(presenting, 1)
    })
    life((journal) => {
      expect(journal.damaged).toBeUndefined()
      expect(journal.last()).toEqual(presenting)
    })
  })

  test('whose other copy is lost too begins idle, and says so', () => {
    filled()
    overwrite(0, 4_096)
    rmSync(`${file}.newest`)
    expect(life((journal) => [journal.damaged, journal.last()])).toEqual([`${file}.damaged-42`, { phase: 'idle' }])
    expect(life((journal) => [journal.damaged, journal.last()])).toEqual([undefined, { phase: 'idle' }])
  })

  test('that lost one of its old records is damaged too', () => {
    filled()
    flipLastBitOf('"counter":17}', '"counter":16}')
    expect(life((journal) => [journal.damaged, journal.last()])).toEqual([`${file}.damaged-42`, numbered(80)])
    expect(life((journal) => [journal.damaged, journal.last()])).toEqual([undefined, numbered(80)])
  })

  test('that is gone altogether is not taken for a new one', () => {
    filled()
    rmSync(file)
    expect(life((journal) => [journal.damaged, journal.last()])).toEqual([`${file}.damaged-42`, numbered(80)])
    expect(life((journal) => [journal.damaged, journal.last()])).toEqual([undefined, numbered(80)])
  })

  test('that came back from yesterday is not believed', () => {
    filled()
    copyFileSync(file, join(folder, 'yesterday'))
    life((journal) => journal.record(numbered(81), 81))
    copyFileSync(join(folder, 'yesterday'), file)
    expect(life((journal) => [journal.damaged, journal.last(), journal.epoch])).toEqual([`${file}.damaged-42`, numbered(81), 3])
  })

  test('is kept aside again when power goes before the new one holds the newest record', () => {
    filled()
    overwrite(0, 4_096)
    const mark = readFileSync(`${file}.newest`)
    life((journal) => expect(journal.damaged).toBe(`${file}.damaged-42`))
    for (const cut of [() => rmSync(file), () => { new Database(file).exec('DELETE FROM record').close() }]) {
      cut()
      writeFileSync(`${file}.newest`, mark) // As it was before.
      life((journal) => {
        expect(journal.damaged).toMatch(/damaged-42-[12]$/)
        expect(journal.last()).toEqual(numbered(80))
      })
    }
  })

  test('and another one at the same moment of a clock without a battery are both kept', () => {
    for (let i = 1; i <= 3; i++) {
      filled()
      overwrite(0, 4_096)
      life((journal) => expect(journal.damaged).toBe(`${file}.damaged-42${i === 1 ? '' : `-${i - 1}`}`))
    }
  })

  test('leaves no hand on the new one: its log is there, and stays', () => {
    filled()
    flipLastBitOf('"counter":80', '"counter":81')
    const journal = openJournal(file, 42)
    journal.record(presenting, 1)
    expect(readdirSync(folder)).toContain('journal.sqlite-wal')
    const reader = new Database(file, { readonly: true })
    expect(reader.prepare('SELECT count(*) FROM record').pluck().get()).toBe(2)
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

describe('whatever happens to a byte of it', () => {
  /** What a life leaves on the medium: one that ended well, and one that was killed with its log full and a checkpoint behind it. */
  function leave(records: number, ends: 'well' | 'killed'): ReadonlyMap<string, Buffer> {
    const inMemory = mkdtempSync(join(MEMORY, 'journal-'))
    const journal = openJournal(join(inMemory, 'journal.sqlite'), 1)
    for (let i = 1; i <= records; i++) journal.record(numbered(i), i)
    if (ends === 'well') journal.close()
    const files = new Map(readdirSync(inMemory).map((name) => [name, readFileSync(join(inMemory, name))]))
    if (ends === 'killed') journal.close()
    rmSync(inMemory, { recursive: true, force: true })
    return files
  }
  const remains = { well: leave(60, 'well'), killed: leave(60, 'killed'), 'killed late': leave(1_000, 'killed') }
  const newestOf = { well: 60, killed: 60, 'killed late': 1_000 }

  const blows = fc.record({
    life: fc.constantFrom('well', 'well', 'killed', 'killed', 'killed', 'killed late'),
    part: fc.constantFrom('', '', '-wal', '-wal', '.newest', '-shm', '.lock'),
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    blow: fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('bit' as const), bit: fc.nat(7) }) },
      fc.record({ kind: fc.constant('zeroes' as const), length: fc.constantFrom(1, 16, 512, 4_096) }),
      fc.constant({ kind: 'cut' as const }), fc.constant({ kind: 'gone' as const }),
    ),
  })

  /** False when there is nothing to strike, or nothing changed. */
  function strike(path: string, at: number, blow: { kind: 'bit'; bit: number } | { kind: 'zeroes'; length: number } | { kind: 'cut' } | { kind: 'gone' }): boolean {
    if (!existsSync(path) || statSync(path).size === 0) return false
    const before = readFileSync(path)
    const bytes = Buffer.from(before)
    const offset = Math.floor(at * bytes.length)
    if (blow.kind === 'gone') rmSync(path)
    else if (blow.kind === 'cut') truncateSync(path, offset)
    else {
      if (blow.kind === 'bit') bytes[offset] = (bytes[offset] ?? 0) ^ (1 << blow.bit)
      else bytes.fill(0, offset, Math.min(offset + blow.length, bytes.length))
      writeFileSync(path, bytes)
    }
    return !existsSync(path) || !readFileSync(path).equals(before)
  }

  const tally = { unharmed: 0, reported: 0 }

  function survives(left: keyof typeof remains, part: string, harm: (path: string) => boolean): void {
    const place = mkdtempSync(join(MEMORY, 'journal-'))
    try {
      for (const [name, bytes] of remains[left]) writeFileSync(join(place, name), bytes)
      const path = join(place, 'journal.sqlite')
      if (!harm(path + part)) return
      const struck = existsSync(path) ? readFileSync(path) : undefined
      const journal = openJournal(path, 42)
      expect(journal.last()).toEqual(numbered(newestOf[left]))
      expect(journal.epoch).toBe(2)
      if (journal.damaged !== undefined) {
        expect(part === '' || part === '-wal').toBe(true)
        if (struck !== undefined) expect(readFileSync(journal.damaged).equals(struck)).toBe(true)
      }
      tally[journal.damaged === undefined ? 'unharmed' : 'reported']++
      journal.record(numbered(9_999), 43)
      journal.close()
      const next = openJournal(path, 44)
      expect([next.damaged, next.last()]).toEqual([undefined, numbered(9_999)])
      next.close()
    } finally {
      rmSync(place, { recursive: true, force: true })
    }
  }

  test('the newest record is read, and what is damaged is reported and kept aside: never an older record, never silence', () => {
    fc.assert(fc.property(blows, ({ life: left, part, at, blow }) => survives(left, part, (path) => strike(path, at, blow))), { numRuns: 800 })
    expect(tally.unharmed, JSON.stringify(tally)).toBeGreaterThan(100)
    expect(tally.reported, JSON.stringify(tally)).toBeGreaterThan(100)
  })

  test('that is in its header, or says what its tables are, the same: it starts whatever they say', () => {
    const page = (remains.well.get('journal.sqlite') ?? Buffer.alloc(0)).subarray(0, 4_096)
    const tables = page.indexOf('table') // The first of the texts that name them; the last of them ends the page.
    expect(tables).toBeGreaterThan(100)
    const offsets = [...Array.from({ length: 100 }, (_, i) => i), ...Array.from({ length: page.length - tables }, (_, i) => tables + i)]
    for (const offset of offsets) {
      for (const bit of offset < 100 ? [0, 1, 7] : [0]) {
        survives('well', '', (path) => {
          const bytes = readFileSync(path)
          bytes[offset] = (bytes[offset] ?? 0) ^ (1 << bit)
          writeFileSync(path, bytes)
          return true
        })
      }
    }
  })
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
    rewriteMark((mark) => ({ ...mark, format: 2 }))
    expect(refusal(() => openJournal(file, 42))).toBe('JOURNAL_TOO_NEW')
    expect(existsSync(`${file}.damaged-42`)).toBe(false)
  })

  test('but one that only looks newer, by a bit of its header, is damaged', () => {
    life((journal) => journal.record(presenting, 1))
    const db = new Database(file)
    db.pragma('user_version = 3')
    db.close()
    expect(life((journal) => [journal.damaged, journal.last()])).toEqual([`${file}.damaged-42`, presenting])
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
    expect(said).toMatch(/^(SQLITE_(READONLY|CANTOPEN)|EACCES)/)
    expect(readdirSync(folder).filter((name) => name.includes('damaged'))).toEqual([])
  })
})
