import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openByOffset } from '../../../drivers/linux/gpio-by-chip.js'
import { emptyTree, errno } from './gpio-kernel.js'

/** The files of a chip, with what a kernel does when they are written to. */
async function chip({ taken = [], rootsOwn = false }: { taken?: readonly number[], rootsOwn?: boolean } = {}) {
  const folder = await emptyTree()
  const written: string[] = []
  const make = (offset: string): void => {
    if (taken.includes(Number(offset))) throw errno('EBUSY')
    mkdirSync(join(folder, `gpio${offset}`))
    writeFileSync(join(folder, `gpio${offset}`, 'direction'), 'in\n')
    writeFileSync(join(folder, `gpio${offset}`, 'value'), '0\n')
  }
  const stuck = new Set<string>()
  const write = (path: string, text: string): void => {
    written.push(`${path.slice(folder.length + 1)} ${text}`)
    switch (basename(path)) {
      case 'export':
        if (rootsOwn) throw errno('EACCES')
        return make(text)
      case 'unexport':
        if (rootsOwn) throw errno('EACCES')
        stuck.delete(text)
        return rmSync(join(folder, `gpio${text}`), { recursive: true })
      case 'direction':
        if (stuck.has(/\d+$/.exec(dirname(path))?.[0] ?? '')) throw errno('EIO')
        writeFileSync(path, text)
        if (text !== 'in') writeFileSync(join(dirname(path), 'value'), text === 'high' ? '1\n' : '0\n')
    }
  }
  const level = (offset: number): string => readFileSync(join(folder, `gpio${offset}`, 'value'), 'utf8').trim()
  return { folder, written, write, make, stuck, level }
}

describe('a line by its place on its chip', () => {
  test('is exported, turned with its level, driven, and given back', async () => {
    const { folder, written, write, level } = await chip()
    const line = openByOffset(folder, 17, 'high', write)
    expect([level(17), line.read()]).toEqual(['1', 1])
    line.write(0)
    expect([level(17), line.read()]).toEqual(['0', 0])
    line.turn('in')
    line.release()
    expect(written).toEqual(['export 17', 'gpio17/direction high', 'gpio17/direction in', 'unexport 17'])
  })

  test('that a killed run left on goes to its level at once, without being given back in between', async () => {
    const { folder, written, write, make, level } = await chip()
    make('17')
    write(join(folder, 'gpio17', 'direction'), 'high')
    openByOffset(folder, 17, 'low', write)
    expect(level(17)).toBe('0')
    expect(written.slice(1)).toEqual(['gpio17/direction low'])
  })

  test('that does not turn as it was left is given back and taken anew', async () => {
    const { folder, written, write, make, stuck } = await chip()
    make('17')
    stuck.add('17')
    openByOffset(folder, 17, 'low', write)
    expect(written).toEqual(['gpio17/direction low', 'unexport 17', 'export 17', 'gpio17/direction low'])
  })

  test('that root exported for this program is used, and stays exported', async () => {
    const { folder, write, make, level } = await chip({ rootsOwn: true })
    make('17')
    const line = openByOffset(folder, 17, 'high', write)
    line.release()
    expect(level(17)).toBe('1')
    expect(() => line.read()).toThrow()
  })

  test.each([
    ['somebody else has', { taken: [17] }, 'EBUSY'], ['only root may export', { rootsOwn: true }, 'EACCES'],
  ])('that %s is told as the kernel says it', async (_, world, code) => {
    const { folder, write } = await chip(world)
    expect(() => openByOffset(folder, 17, 'in', write)).toThrow(expect.objectContaining({ code }) as Error)
  })

  test('tells of no edges', async () => {
    const { folder, write } = await chip()
    expect(openByOffset(folder, 24, 'in', write).watch(() => undefined)).toBe(false)
  })
})
