import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { takeFolder } from '../../scripts/demo-folder.js'

let home: string
let folder: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'plinth-folder-'))
  folder = join(home, 'out')
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

/** What a demo leaves behind, and the process that left it. */
function leftBehind(pid: number): void {
  mkdirSync(join(folder, 'panel'), { recursive: true })
  writeFileSync(join(folder, 'panel/0001.png'), '')
  writeFileSync(join(folder, 'demo.pid'), `${pid}\n`)
}

describe('the folder of a demo', () => {
  test('is made when it is not there', () => {
    takeFolder(join(folder, 'deep'))
    expect(existsSync(join(folder, 'deep'))).toBe(true)
  })

  test('is emptied when a demo left it, or died in it', () => {
    leftBehind(999_999_999)
    takeFolder(folder)
    expect(readdirSync(folder)).toEqual(['demo.pid'])
  })

  test('is claimed until it is released, and what was written stays', () => {
    const release = takeFolder(folder)
    writeFileSync(join(folder, 'bench'), '')
    release()
    expect(readdirSync(folder)).toEqual(['bench'])
  })

  test('is left alone when it holds anything else, were it only one file', () => {
    leftBehind(999_999_999)
    writeFileSync(join(folder, 'thesis.odt'), 'years of work')
    expect(() => takeFolder(folder)).toThrow(`${folder} would be emptied, but holds thesis.odt, which no demo made`)
    expect(readdirSync(folder)).toEqual(['demo.pid', 'panel', 'thesis.odt'])
  })

  test('is not a file', () => {
    writeFileSync(folder, 'years of work')
    expect(() => takeFolder(folder)).toThrow(`${folder} is not a folder`)
    expect(readFileSync(folder, 'utf8')).toBe('years of work')
  })

  test('is not taken from a demo that is at work in it', async () => {
    const other = spawn(process.execPath, ['-e', 'console.log(); setInterval(() => {}, 1000)', 'demo.js'])
    try {
      await new Promise((resolve) => other.stdout.once('data', resolve))
      leftBehind(other.pid ?? 0)
      expect(() => takeFolder(folder)).toThrow(`another demo is at work in ${folder} (process ${other.pid})`)
      expect(existsSync(join(folder, 'panel/0001.png'))).toBe(true)
    } finally {
      other.kill('SIGKILL')
    }
  })

  test('is taken when the number of a demo that died is another program\'s now', () => {
    leftBehind(process.pid)
    takeFolder(folder)
    expect(readdirSync(folder)).toEqual(['demo.pid'])
  })
})
