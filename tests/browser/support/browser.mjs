// Real Chromium, from Debian's package.

import { chromium } from 'playwright-core';

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
}

export async function context(browser) {
  const made = await browser.newContext({ ignoreHTTPSErrors: true });
  made.setDefaultTimeout(15_000);
  return made;
}

/** Fills the provider's form. */
export async function signInAs(page, login) {
  await page.getByLabel('Login').fill(login);
  await page.getByRole('button', { name: 'Sign in' }).click();
}
