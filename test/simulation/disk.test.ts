/** The journal of the simulation keeps the promises of the real one, and loses what it is told to lose. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { openJournal } from '../../device/journal.js'
import type { Recorded } from '../../device/sale.js'
import { journalConformance } from '../conformance/journal.js'
import { createDisk, type Writing } from './disk.js'

const folders: string[] = []
afterEach(() => { for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true }) })

journalConformance('the real journal', () => {
  const folder = mkdtempSync(join(tmpdir(), 'journal-'))
  folders.push(folder)
  const file = join(folder, 'journal.sqlite')
  return {
    open: () => openJournal(file, 42),
    damage(what) {
      writeFileSync(file, Buffer.alloc(50_000, 'garbage'))
      if (what === 'everything') writeFileSync(`${file}.newest`, Buffer.alloc(2_048, 'garbage'))
    },
  }
})

journalConformance('the journal of the simulation', () => {
  const disk = createDisk({ writing: () => 'written', cutPower: () => undefined, written: () => undefined })
  return { open: () => disk.open(() => true), damage: (what) => disk.damage(what) }
})

describe('a disk of the simulation', () => {
  const open: Recorded = {
    phase: 'opening',
    sale: { id: '01931e7c-0000-7000-8000-000000000001', nonce: '0'.repeat(32), amount: { minor: 1, currency: 'THB' }, method: 'alipayplus_mpm', askedBy: 'keypad' },
  }

  test.each<[Writing, boolean, 'threw' | 'cut' | 'went on']>([
    ['written', true, 'went on'], ['cut', false, 'cut'], ['cut but kept', true, 'cut'], ['refused', false, 'threw'], ['refused but kept', true, 'threw'],
  ])('a record that is %s: kept %s, and the process %s', (writing, isKept, then) => {
    let happened = 'went on'
    const disk = createDisk({ writing: () => writing, cutPower: () => { happened = 'cut' }, written: () => undefined })
    try {
      disk.open(() => true).record(open, 1)
    } catch {
      happened = 'threw'
    }
    expect(happened).toBe(then)
    expect(disk.last()).toEqual(isKept ? open : { phase: 'idle' })
  })

  test('takes nothing from a process that has ended', () => {
    const disk = createDisk({ writing: () => 'written', cutPower: () => undefined, written: () => undefined })
    let alive = true
    const journal = disk.open(() => alive)
    alive = false
    journal.record(open, 1)
    expect(disk.last()).toEqual({ phase: 'idle' })
  })

  test('that lied forgets its newest records, and a copy does not', () => {
    const disk = createDisk({ writing: () => 'written', cutPower: () => undefined, written: () => undefined })
    const copy = createDisk({ writing: () => 'written', cutPower: () => undefined, written: () => undefined })
    const journal = disk.open(() => true)
    journal.record(open, 1)
    journal.record({ phase: 'idle' }, 2)
    disk.copyTo(copy)
    disk.forget(1)
    expect(disk.last()).toEqual(open)
    expect(copy.last()).toEqual({ phase: 'idle' })
    expect(copy.open(() => true).epoch).toBe(2)
  })
})
