/** Every letter that a panel may show has a shape of its own: no box stands in for one that no font has. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCanvas } from 'canvas'
import { describe, expect, test } from 'vitest'
import { PAYMENT_METHODS } from '../../device/protocol/payment-method.js'
import { undrawable } from '../../device/glyphs.js'
import { FONT_FAMILIES } from '../../device/typeset.js'
import { LANGUAGES, textsOf, WORDS } from '../../device/words.js'
import { SITES } from '../../scripts/every-screen.js'

describe('every letter can be drawn', () => {
  test('and one that cannot is noticed', () => {
    expect(undrawable('\ue000Kopi\uf8aa\u{10fffd}\ue123')).toEqual(['\ue000', '\uf8aa', '\u{10fffd}', '\ue123'])
    expect(undrawable('A0口国บ□ ่')).toEqual([])
  })

  test.each(LANGUAGES)('in %s', (language) => {
    expect(undrawable(textsOf(WORDS[language]).join('') + SITES[language].shopName)).toEqual([])
  })

  test('in amounts, references and the names of wallets', () => {
    expect(undrawable(`0123456789.,…${'ABCDEFGHIJKLMNOPQRSTUVWXYZ'}${JSON.stringify(PAYMENT_METHODS)}`)).toEqual([])
  })
})

const context = createCanvas(64, 64).getContext('2d', { pixelFormat: 'A8' })

test('Thai and Chinese are drawn by the fonts that were chosen, not by whatever else is installed', () => {
  const widthIn = (families: string, text: string): number => {
    context.font = `40px ${families}`
    return context.measureText(text).width
  }
  expect(widthIn(FONT_FAMILIES, 'ชำระเงินที่')).toBe(widthIn('"Loma"', 'ชำระเงินที่'))
  expect(widthIn(FONT_FAMILIES, '请勿重复支付')).toBe(widthIn('"WenQuanYi Micro Hei"', '请勿重复支付'))
  expect(widthIn(FONT_FAMILIES, 'Scan to pay 12.80')).toBe(widthIn('"DejaVu Sans"', 'Scan to pay 12.80'))
})

test('on a machine that has only the Latin font, check says which package is missing, and which letters of its name', () => {
  const folder = mkdtempSync(join(tmpdir(), 'plinth-fonts-'))
  try {
    const dejavu = execFileSync('fc-match', ['--format', '%{file}', 'DejaVu Sans'], { encoding: 'utf8' }).replace(/[^/]*$/, '')
    writeFileSync(join(folder, 'fonts.conf'), `<fontconfig><dir>${dejavu}</dir><cachedir>${folder}</cachedir></fontconfig>`)
    const check = new URL('../../dist/device/check.js', import.meta.url).href
    const asked = ['th', 'zh', 'en'].map((language) => ({ language, shopName: language === 'en' ? '大同' : 'Kopi' }))
    const script = `import { checkLetters } from ${JSON.stringify(check)}; console.log(JSON.stringify(${JSON.stringify(asked)}.map(checkLetters)))`
    const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', env: { ...process.env, FONTCONFIG_FILE: join(folder, 'fonts.conf') } })
    expect(JSON.parse(said)).toEqual([
      [{ path: 'site.language', problem: expect.stringMatching(/^th cannot be drawn: no font has .+/), hint: 'fonts-tlwg-loma-ttf is missing' }],
      [{ path: 'site.language', problem: expect.stringMatching(/^zh cannot be drawn: no font has .+/), hint: 'fonts-wqy-microhei is missing' }],
      [{ path: 'site.shopName', problem: "'大', '同' cannot be drawn: no font has it", hint: 'use other letters, or install the font: fonts-wqy-microhei, fonts-tlwg-loma-ttf' }],
    ])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
