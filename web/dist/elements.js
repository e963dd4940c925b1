import"./chunk-SP2H7EFR.js";import{d as a}from"./chunk-NMCR77FC.js";import"./chunk-WCMFILYY.js";export{a as connect};
